"""A worker's side of the contract without TensorFlow: claims, curves from a function, commits.

Every write goes through the functions that a worker uses, so states, fences and requests are
those of a real fleet; only the numbers are known beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import update
from support.rows import commit

import fitfleet as ff
from fitfleet.db.attempts import ends, leases
from fitfleet.db.attempts.leases import Claim
from fitfleet.db.attempts.metrics import EpochMetrics, record
from fitfleet.db.scheduling import dispatch
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.states import FailureClass, JobStatus, Request

WORKER = "host:1:0"
Loss = Callable[[dict[str, Any], int, int], float]


def loss_of(params: dict[str, Any], seed: int, epoch: int) -> float:
    """Falls with the epochs; best at a rate of 0.01 and many units; seeds differ a little."""
    rate = float(params.get("optimizer.learning_rate", 0.01))
    units = float(params.get("units", 8))
    wobble = ((seed * 7919) % 13 - 6) / 1000
    return abs(np.log10(rate) + 2) + 4 / units + 1 / epoch + wobble


class StandIn:
    """Works off what is queued, one epoch of every running job at a time."""

    def __init__(self, database: Database, loss: Loss = loss_of) -> None:
        self._database, self._loss = database, loss
        self._running: list[tuple[Claim, dict[str, Any], int]] = []
        self.started: list[int] = []

    def take(self, limit: int) -> int:
        """Claim up to so many jobs; how many."""
        with self._database.begin() as c:
            for job_id, sequence in dispatch.dispatch(c, "cpu", limit):
                claim = leases.claim(c, job_id, sequence, WORKER, 60.0)
                assert claim is not None
                params = json.loads(claim.options)["params"]
                start = json.loads(claim.spec)["initial_weights"] or {"initial_epoch": 0}
                done = claim.checkpoint_epoch or start["initial_epoch"]
                self._running.append((claim, params, done))
                self.started.append(claim.job_id)
        return len(self._running)

    def epoch(self) -> None:
        """One epoch of each running job; obeys requests, commits what has all its epochs."""
        left = []
        for claim, params, done in self._running:
            with self._database.begin() as c:
                request = leases.heartbeat(c, [claim], 60.0)[claim.job_id, claim.attempt]
                if request in (Request.PRUNE, Request.CANCEL):
                    ended = JobStatus.PRUNED if request is Request.PRUNE else JobStatus.CANCELLED
                    ends.stop(c, claim, ended, seconds=0.1)
                    continue
                spec = json.loads(claim.spec)
                value = self._loss(params, spec["seed"], done + 1)
                if np.isnan(value):
                    ends.fail(c, claim, FailureClass.NAN, "the loss became NaN")
                    continue
                record(c, [EpochMetrics(claim, done + 1, {"loss": value, "val_loss": value})])
                if done + 1 < spec["epochs"]:
                    left.append((claim, params, done + 1))
                else:
                    commit(c, claim, epoch=done + 1, seconds=1.0)
        self._running = left

    def work(self, limit: int = 10**6) -> None:
        """Everything that is queued now, to its end."""
        while self.take(limit):
            self.epoch()


def write_data(folder: Path) -> Settings:
    """A small dataset and the settings of a fleet that sees it."""
    random = np.random.default_rng(0)
    np.savez(
        folder / "data.npz",
        x_train=random.normal(size=(64, 4)).astype("float32"),
        y_train=random.normal(size=(64, 1)).astype("float32"),
        x_val=random.normal(size=(16, 4)).astype("float32"),
        y_val=random.normal(size=(16, 1)).astype("float32"),
    )
    return Settings(data_root=str(folder), cache=str(folder / "cache"))


def arguments(**changes: Any) -> dict[str, Any]:
    """Arguments of a sweep over units and learning rate."""
    layers = ff.layers
    base = {
        "model": ff.Sequential(
            [layers.Input((4,)), layers.Dense(ff.choice([4, 8, 16])), layers.Dense(1)]
        ),
        "dataset": "data.npz",
        "optimizer": {"class_name": "SGD", "config": {"learning_rate": ff.log_uniform(1e-4, 1)}},
        "loss": "mse",
        "epochs": 4,
        "experiment": "net",
        "objective": "val_loss",
        "search": "tpe",
        "trials": 12,
        "seed": 3,
    }
    return {**base, **changes}


def write_files(fleet: ff.Fleet, of: list[ff.Job]) -> None:
    """Real files where the rows point, of 1000 bytes a weights file and 100 a checkpoint."""
    with fleet.database.begin() as c:
        for job in of:
            folder = f"net/{job.id}"
            has_succeeded = job.status is JobStatus.SUCCEEDED
            name = (
                "attempt-1.weights.h5"
                if has_succeeded
                else "attempt-1.epoch-2.checkpoint.weights.h5"
            )
            path = Path(fleet.settings.storage) / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * (1000 if has_succeeded else 100))
            column = "artifact_path" if has_succeeded else "checkpoint_path"
            row = update(jobs).where(jobs.c.id == job.id)
            c.execute(row.values({column: f"{folder}/{name}"}))
