"""Who submits is told once a queue that no worker serves it: a script, a notebook, a client."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
from support.rows import commit, register, take
from support.statements import statements

import fitfleet as ff
from fitfleet.api.serve import ApiServer, Options
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.db.session import Database
from fitfleet.settings import Settings

NOBODY = "no worker is running yet; unless one is starting: fitfleet worker"
SCRIPT = """
import fitfleet as ff
fleet = ff.connect({database!r}, {broker!r}, {storage!r}, data_root={storage!r})
job = dict(model=ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]),
           dataset="line.npz", optimizer="sgd", loss="mse", validation_split=0.25)
for seed in range(3):
    fleet.submit(**job, seed=seed)
fleet.submit_many([dict(job, seed=seed, queue="gpu") for seed in (3, 4)])
fleet.sweep(**job, batch_size=ff.choice([8, 16]), queue="tpu", search="grid", name="s").submit()
"""


@pytest.fixture
def settings(sqlite_url: str, valkey_url: str, tmp_path: Path) -> Settings:
    rng = np.random.default_rng(0)
    rows = {"x_train": rng.normal(size=(64, 4)), "y_train": rng.normal(size=(64, 1))}
    np.savez(tmp_path / "line.npz", **{name: row.astype("f4") for name, row in rows.items()})
    folder = str(tmp_path)
    return Settings(
        database_url=sqlite_url, broker_url=valkey_url, storage=folder, data_root=folder
    )


@pytest.fixture
def fleet(settings: Settings) -> Iterator[ff.Fleet]:
    with ff.Fleet(settings, Database(settings.database_url)) as fleet:
        yield fleet


@pytest.fixture
def job() -> dict[str, Any]:
    model = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)])
    return {
        "model": model,
        "dataset": "line.npz",
        "optimizer": "sgd",
        "loss": "mse",
        "validation_split": 0.25,
    }


def _script(settings: Settings) -> str:
    places = {"broker": settings.broker_url, "storage": settings.storage}
    return SCRIPT.format(database=settings.database_url, **places)


def test_a_script_is_warned_once_of_a_queue_that_no_worker_serves(settings: Settings) -> None:
    command = [sys.executable, "-c", _script(settings)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    lines = [line for line in told.stderr.splitlines() if "no worker" in line]
    ends = ["worker", "worker --queue gpu", "worker --queue tpu"]
    assert [line.partition("fitfleet ")[2] for line in lines] == ends
    assert all(NOBODY in line for line in lines) and not told.stdout


def test_many_jobs_are_reported_without_reading_each_again(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    sent = []
    for first, count in ((0, 3), (3, 30)):
        with statements(fleet.database) as one, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fleet.submit_many([dict(job, seed=first + i) for i in range(count)])
        sent.append(len(one))
    assert sent[1] <= sent[0]


@pytest.mark.slow
def test_a_notebook_is_warned_once(settings: Settings) -> None:
    cells = [nbformat.v4.new_code_cell(text) for text in (_script(settings), "fleet.submit(**job)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (first, second) = ("".join(o.get("text", "") for o in cell.outputs) for cell in done.cells)
    assert first.count(NOBODY) == 3 and NOBODY not in second


def test_a_queue_without_a_worker_is_warned_of_and_another_is_not(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    register(fleet.database, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fleet.submit(**job)
    with pytest.warns(UserWarning, match="no worker serves the queue 'gpu'; .* workers for cpu"):
        fleet.submit(**job, queue="gpu", seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fleet.submit(**job, queue="gpu", seed=2)


def test_what_has_ended_waits_for_no_worker(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match=NOBODY):
        fleet.submit(**job).cancel()
    with (
        ff.Fleet(fleet.settings, Database(fleet.settings.database_url)) as another,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        assert another.submit(**job).is_reused


@pytest.mark.parametrize("kind", ["predict", "evaluate"])
def test_a_caller_of_a_fitted_model_is_warned_too(
    fleet: ff.Fleet, job: dict[str, Any], kind: str
) -> None:
    with pytest.warns(UserWarning, match=NOBODY):
        fitted = fleet.submit(**job)
    (claim,) = take(fleet.database)
    with fleet.database.begin() as c:
        assert commit(c, claim, epoch=1, seconds=1.0)
    x, y = np.zeros((2, 4), "f4"), np.zeros((2, 1), "f4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # raised, so that nothing is waited for
        with pytest.raises(UserWarning, match=NOBODY):
            getattr(fitted, kind)(x if kind == "predict" else (x, y), where="fleet")


def test_a_client_of_the_api_is_warned_once_however_many_there_are(
    fleet: ff.Fleet, job: dict[str, Any], tmp_path: Path
) -> None:
    with fleet.database.begin() as c:
        token = tokens.create(c, "ana", Scope.SUBMIT)
    server = ApiServer(fleet, Options("127.0.0.1:0")).start()
    try:
        for seed in (0, 10):  # two scripts
            remote = ff.connect(server.url, token=token, cache=str(tmp_path / "cache"))
            with pytest.warns(UserWarning, match=NOBODY) as told:
                for i in (1, 2):
                    remote.submit(**job, seed=seed + i)
                sizes = ff.choice([8, 16])
                wanted = {**job, "batch_size": sizes, "seed": seed, "name": f"s{seed}"}
                remote.sweep(**wanted, queue="tpu", search="grid").submit()
            assert [str(line.message).partition("worker")[2] for line in told] == [
                f" is running yet; unless one is starting: fitfleet worker{more}"
                for more in ("", " --queue tpu")
            ]
    finally:
        server.stop()
