"""Small real fits for the fault tests, and what must be equal between two of them."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
from support.processes import fitting_children
from support.waiting import until

import fitfleet as ff
from fitfleet.db.session import Database
from fitfleet.storage import JOB_GROUP, Storage

# Short times, so that a lost lease is seen within seconds; a checkpoint at every epoch.
SETTINGS: dict[str, Any] = {
    "lease_s": 3.0,
    "heartbeat_s": 0.5,
    "recover_s": 0.5,
    "redispatch_s": 0.5,
    "checkpoint_s": 0.0,
    "backoff_s": 0.1,
}
EPOCHS = 20


def write_series(path: Path) -> Path:
    """240 series of 8 steps of 3 features, and a third as many to validate and to test."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, rows in (("train", 240), ("val", 80), ("test", 80)):
            x = rng.normal(size=(rows, 8, 3)).astype("float32")
            file[f"x_{part}"] = x
            file[f"y_{part}"] = x.mean(axis=(1, 2))[:, None]
    return path


def small_job(series: Path, **changes: Any) -> dict[str, Any]:
    """An LSTM with dropout and a callback with a state of its own: a resume can forget much."""
    model = ff.Sequential(
        [
            ff.layers.Input((8, 3)),
            ff.layers.LSTM(6, dropout=0.2),
            ff.layers.Dropout(0.1),
            ff.layers.Dense(1),
        ]
    )
    job: dict[str, Any] = {
        "model": model,
        "dataset": str(series),
        "optimizer": "adam",
        "loss": "mse",
        "metrics": ["mae"],
        "callbacks": [{"ReduceLROnPlateau": {"patience": 2}}],
        "batch_size": 4,
        "epochs": EPOCHS,
        "seed": 7,
    }
    return {**job, **changes}


def until_checkpoint(job: ff.Job, epoch: int = 3) -> None:
    """Wait until the running job has a checkpoint of that epoch or a later one."""
    until(lambda: (job.refresh().row.checkpoint_epoch or 0) >= epoch)
    assert job.row.status is ff.JobStatus.RUNNING, "the fit was too short for the fault"


def service_of(job: ff.Job) -> psutil.Process:
    """The worker service that runs the job."""
    assert job.row.owner is not None
    return psutil.Process(int(job.row.owner.split(":")[1]))


def child_of(job: ff.Job) -> psutil.Process:
    """The process that fits the job."""
    (child,) = fitting_children(service_of(job))
    return child


def stop(process: psutil.Process, database: Database) -> None:
    """Freeze a process, though not in a transaction: SQLite would keep everybody else waiting."""
    while True:
        os.kill(process.pid, signal.SIGSTOP)
        if _is_free(database):
            return
        wake(process)
        time.sleep(0.05)


def _is_free(database: Database) -> bool:
    with closing(sqlite3.connect(str(database.url.database), timeout=1.0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


def wake(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGCONT)


def outcomes(job: ff.Job) -> list[str | None]:
    """How each attempt ended, first first."""
    return [attempt["outcome"] for attempt in job.attempts]


def files(job: ff.Job) -> list[str]:
    """What lies in the storage for the job, temporary files too."""
    storage = Storage.of(job._settings)
    there = storage.files_of(job.experiment, job.id)
    return sorted(Path(file.path).name for file in there)


def assert_equal(job: ff.Job, straight: ff.Job) -> None:
    """Done once, with the history, scores, weights and optimizer of an undisturbed run."""
    assert job.refresh().status is ff.JobStatus.SUCCEEDED, job.error
    assert outcomes(job).count("succeeded") == 1
    # Checkpoints are removed right after the commit.
    until(lambda: files(job) == [Path(job.row.artifact_path or "").name])
    assert job.history.equals(straight.history)
    assert job.scores == straight.scores
    resumed, wanted = _arrays(job.weights_path), _arrays(straight.weights_path)
    assert resumed.keys() == wanted.keys()
    assert len(resumed) > 8, "weights and optimizer"
    for name, array in wanted.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def _arrays(path: Path) -> dict[str, Any]:
    datasets: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(JOB_GROUP):
            datasets[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return datasets
