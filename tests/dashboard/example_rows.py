"""Rows that a page has something to show of: finished, running, waiting and failed jobs."""

from __future__ import annotations

import math
from typing import Any

from support.rows import commit, insert, new_job, register, take

from fitfleet.db.attempts import ends, metrics
from fitfleet.db.attempts.leases import Claim
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.session import Database
from fitfleet.states import FailureClass

EPOCHS = 6


def logs(job: int, epoch: int) -> dict[str, float]:
    """Values that fall with the epoch and rise with the number of the job."""
    loss = 0.1 * job + 2 * math.exp(-epoch / 2)
    return {"loss": loss, "val_loss": loss + 0.1, "accuracy": 1 / (1 + loss)}


def train(database: Database, claim: Claim, first: int, last: int) -> None:
    """Record these epochs of a running job."""
    epochs = [
        EpochMetrics(claim, epoch, logs(claim.job_id, epoch)) for epoch in range(first, last + 1)
    ]
    with database.begin() as c:
        for start in range(0, len(epochs), 1000):
            metrics.record(c, epochs[start : start + 1000])


def fill(database: Database, experiment: str = "digits", count: int = 24) -> dict[str, Any]:
    """`count` jobs, two seeds a configuration: most succeed, the last ones fail, run and wait."""
    rows = [
        new_job(
            f"{experiment}-{i}",
            experiment=experiment,
            group=f"{experiment}-{i // 2}",
            seed=i % 2,
            epochs=EPOCHS,
            params={
                "units": 8 * (1 + i // 2 % 4),
                "rate": 10.0 ** -(1 + i // 2 % 3),
                "optimizer": ("adam", "sgd")[i // 2 % 2],
                "fixed": "same",
            },
        )
        for i in range(count)
    ]
    register(database, 2)
    ids = insert(database, *rows)
    claims = take(database, count - 4)
    for claim in claims[:-2]:
        train(database, claim, 1, EPOCHS)
        scores = {"keras": {"test_accuracy": logs(claim.job_id, EPOCHS)["accuracy"]}}
        with database.begin() as c:
            commit(c, claim, epoch=EPOCHS, seconds=float(claim.job_id), scores=scores)
    with database.begin() as c:
        ends.fail(
            c, claims[-2], FailureClass.USER, "the evaluator raised", traceback="ValueError: no"
        )
    train(database, claims[-1], 1, 2)
    return {"ids": ids, "running": claims[-1], "failed": claims[-2].job_id, "waiting": ids[-4:]}
