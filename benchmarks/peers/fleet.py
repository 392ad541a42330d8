"""fitfleet: an embedded fleet of two workers; a first sweep, then as many other points, warm."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import workload

import fitfleet as ff


def jobs(task: workload.Task, points: Sequence[workload.Point]) -> list[dict[str, Any]]:
    """The arguments of `submit` for every point."""
    work = workload.WORKS[task.model]
    model = ff.Sequential(workload.layers(task.model, ff.layers))
    return [
        {
            "model": model,
            "dataset": task.data,
            "optimizer": {
                "class_name": work.optimizer,
                "config": {"learning_rate": point["learning_rate"]},
            },
            "loss": work.loss,
            "metrics": ["accuracy"],
            "batch_size": work.batch_size,
            "epochs": workload.EPOCHS,
            "seed": point["seed"],
            "experiment": "sweep",
            "params": point,
        }
        for point in points
    ]


def fit_all(fleet: ff.Fleet, task: workload.Task, points: Sequence[workload.Point]) -> list[Any]:
    """Submit, and wait for the last result."""
    handles = fleet.submit_many(jobs(task, points))
    return fleet.wait(handles, raise_on_failure=True)


if __name__ == "__main__":
    task = workload.task()
    others = workload.points(len(task.points), first_rate=1.1e-4)
    with (
        tempfile.TemporaryDirectory() as folder,
        ff.local(workers=2, directory=Path(folder) / "fleet") as fleet,
    ):
        done = fit_all(fleet, task, task.points)
        ended_at = began_at = time.time()
        warm = fit_all(fleet, task, others)
        warm_s = time.time() - began_at
        task.report(
            [list(job.history["loss"]) for job in done],
            ended_at=ended_at,
            warm_s=warm_s,
            warm_losses=[list(job.history["loss"]) for job in warm],
            engines=dict(Counter(str(job.attempts[-1]["engine"]) for job in [*done, *warm])),
        )
