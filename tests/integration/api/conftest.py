"""A fleet without workers whose API is served on a real port, and clients that have only that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from clients import MakeClient, MakeToken, write_line

import fitfleet as ff
from fitfleet.api.serve import ApiServer, Options
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.db.session import Database
from fitfleet.settings import Settings, directory_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of the server."""
    data = tmp_path / "data"
    data.mkdir()
    write_line(data / "line.npz")
    away = {"broker_url": "redis://127.0.0.1:1/0", "data_root": str(data)}
    return Settings(**{**directory_settings(tmp_path / "fleet"), **away})


@pytest.fixture
def fleet(settings: Settings, sqlite_url: str) -> Iterator[ff.Fleet]:
    """The fleet as its admin holds it, by the database."""
    settings = settings.replace(database_url=sqlite_url)
    with ff.Fleet(settings, Database(sqlite_url)) as fleet:
        yield fleet


@pytest.fixture
def server(fleet: ff.Fleet) -> Iterator[ApiServer]:
    """Its API, on a loopback port."""
    server = ApiServer(fleet, Options("127.0.0.1:0")).start()
    yield server
    server.stop()


@pytest.fixture
def token(fleet: ff.Fleet) -> MakeToken:
    """Makes a token: user and scope."""

    def make(user: str = "ana", scope: Scope = Scope.SUBMIT, **how: Any) -> str:
        with fleet.database.begin() as c:
            return tokens.create(c, user, scope, **how)

    return make


@pytest.fixture
def client(server: ApiServer, token: MakeToken, tmp_path: Path) -> Iterator[MakeClient]:
    """Connects a client of its own folder, by a token of this user and scope."""
    folder = tmp_path / "client"
    folder.mkdir()
    with ExitStack() as stack:

        def connect(user: str = "ana", scope: Scope = Scope.SUBMIT) -> ff.Fleet:
            places = {"data_root": str(folder), "cache": str(folder / "cache")}
            fleet = ff.connect(server.url, token=token(user, scope), **places)
            return stack.enter_context(fleet)

        yield connect


@pytest.fixture
def job() -> dict[str, Any]:
    """A small job of data that lie below the fleet's data root."""
    return {
        "model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]),
        "dataset": "line.npz",
        "optimizer": "sgd",
        "loss": "mse",
        "epochs": 3,
        "experiment": "line",
    }
