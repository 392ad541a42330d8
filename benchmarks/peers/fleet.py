"""fitfleet: an embedded fleet of two workers; a first sweep, then as many other points, warm.

With FLEET_DIRECTORY the fleet stays in that directory, or is joined there, and does one sweep.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
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
    handles = fleet.submit_many(jobs(task, points), again=True)
    return fleet.wait(handles, raise_on_failure=True)


def losses(done: Sequence[Any]) -> list[list[float]]:
    """Of every job and epoch."""
    return [list(job.history["loss"]) for job in done]


def used_s() -> float:
    """CPU seconds of this command and its processes so far."""
    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(cpu.user + cpu.system for cpu in times))


def in_a_fleet_that_stays(task: workload.Task, directory: str) -> None:
    """One sweep."""
    with ff.local(workers=2, directory=directory, keep="10m") as fleet:
        done = fit_all(fleet, task, task.points)
        task.report(losses(done))


def in_a_fleet_of_its_own(task: workload.Task) -> None:
    """Two sweeps."""
    others = workload.points(len(task.points), first_rate=1.1e-4)
    with (
        tempfile.TemporaryDirectory() as folder,
        ff.local(workers=2, directory=Path(folder) / "fleet") as fleet,
    ):
        done = fit_all(fleet, task, task.points)
        ended_at = began_at = time.time()
        cpu_s = used_s()
        warm = fit_all(fleet, task, others)
        warm_s, warm_cpu_s = time.time() - began_at, used_s() - cpu_s
        task.report(
            losses(done),
            ended_at=ended_at,
            cpu_s=cpu_s,
            warm_s=warm_s,
            warm_cpu_s=warm_cpu_s,
            warm_losses=losses(warm),
            engines=dict(Counter(str(job.attempts[-1]["engine"]) for job in [*done, *warm])),
        )


if __name__ == "__main__":
    given, directory = workload.task(), os.environ.get("FLEET_DIRECTORY")
    if directory:
        in_a_fleet_that_stays(given, directory)
    else:
        in_a_fleet_of_its_own(given)
