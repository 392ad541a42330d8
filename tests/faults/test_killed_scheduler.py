"""The scheduler service killed in the middle of a sweep that nobody else drives."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.fits import small_job
from support.waiting import until
from whole_fleet import WholeFleet

import fitfleet as ff

TRIALS = 5
RATE = "optimizer.learning_rate"


def search(series: Path, experiment: str) -> dict[str, Any]:
    """Each trial depends on those before it."""
    return {
        **small_job(series, epochs=3),
        "optimizer": {"Adam": {"learning_rate": ff.log_uniform(1e-4, 1e-1)}},
        "experiment": experiment,
        "objective": "val_loss",
        "search": "tpe",
        "trials": TRIALS,
        "seed": 5,
        "max_running": 1,
    }


def results(sweep: ff.Sweep) -> list[tuple[float, float]]:
    points = sweep.trials()[RATE].tolist()
    losses = [float(job.history["val_loss"].iloc[-1]) for job in sweep.jobs()]
    return list(zip(points, losses, strict=True))


@pytest.mark.slow
def test_a_restarted_scheduler_resumes_the_sweep(whole: WholeFleet, series: Path) -> None:
    calm = whole.client.sweep(**search(series, "calm")).submit()
    until(lambda: calm.progress.is_done)
    shot = whole.client.sweep(**search(series, "shot")).submit()
    for done in (1, 3):
        until(lambda done=done: shot.progress.complete >= done)
        whole.kill("scheduler")
        seen = shot.progress.trials
        assert seen < TRIALS
        time.sleep(1.0)
        assert shot.progress.trials == seen, "somebody else drives it"
        whole.start("scheduler")
    until(lambda: shot.progress.is_done)
    assert [job.attempt for job in shot.jobs()] == [1] * TRIALS
    assert results(shot) == results(calm)
