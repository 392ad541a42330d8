"""The compose file's own commands, as processes: PostgreSQL and Valkey over TCP with a password,
the migrations, one scheduler, three workers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from compose import PASSWORD, Compose

import fitfleet as ff

WORKERS = 3


@pytest.fixture
def compose(tmp_path: Path, empty_postgres_url: str) -> Iterator[Compose]:
    """All services are up."""
    compose = Compose(tmp_path, empty_postgres_url)
    with ExitStack() as stack:
        stack.enter_context(compose.up("valkey"))
        wait_for_valkey(compose.valkey_port)
        compose.run("migrate")
        stack.enter_context(compose.up("scheduler"))
        for number in range(WORKERS):
            stack.enter_context(compose.up("worker", number))
        yield compose


def wait_for_valkey(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            redis.Redis(port=port, password=PASSWORD).ping()
            return
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def connect(compose: Compose) -> ff.Fleet:
    settings = compose.environment("scheduler")
    return ff.connect(
        settings["FITFLEET_DATABASE_URL"],
        settings["FITFLEET_BROKER_URL"],
        settings["FITFLEET_STORAGE"],
        data_root=settings["FITFLEET_DATA_ROOT"],
    )


def test_jobs_of_a_script_are_fitted_by_three_services(
    compose: Compose, digits: Path, job: dict[str, Any]
) -> None:
    (compose.folder / "data" / "digits.h5").write_bytes(digits.read_bytes())
    with connect(compose) as fleet:
        wait_for_workers(fleet)
        jobs = fleet.submit_many(
            {**job, "dataset": "digits.h5", "seed": seed, "params": {"seed_of": seed}}
            for seed in range(6)
        )
        try:
            fleet.wait(jobs, timeout_s=200, raise_on_failure=True)
        except ff.FitfleetError as error:
            pytest.fail(f"{error}\n{compose.logs()}")
        table = fleet.compare("digits")
        assert len(table) == 6
        assert list(table["val_loss"]) == sorted(table["val_loss"])
        assert fleet.best("digits").weights()
        workers = {attempt["worker"] for handle in jobs for attempt in handle.attempts}
        assert len(workers) <= WORKERS
    no_password(compose)


def wait_for_workers(fleet: ff.Fleet) -> None:
    deadline = time.monotonic() + 60
    while True:
        with fleet.database.read() as c:
            slots = c.exec_driver_sql(
                "SELECT COUNT(*) FROM workers WHERE ended_at IS NULL"
            ).scalar()
        if slots == WORKERS:
            return
        assert time.monotonic() < deadline, f"{slots} of {WORKERS} workers are up"
        time.sleep(0.1)


def no_password(compose: Compose) -> None:
    """Both servers refuse who has no password."""
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=compose.valkey_port).ping()
    url = urlsplit(compose.postgres_url)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=url.hostname, port=url.port, user=url.username, dbname=url.path[1:])
