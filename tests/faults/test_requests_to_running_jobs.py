"""What users ask of a running fit: cancel, extend, a limit of time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.fits import assert_equal, outcomes, small_job, until_checkpoint

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet

LONG = 100_000


def cancel(job: ff.Job) -> None:
    job.cancel()
    assert job.wait(120).status is ff.JobStatus.CANCELLED


@pytest.mark.slow
def test_a_cancelled_job_keeps_its_checkpoint_and_resumes_from_it(
    fleet: LocalFleet, series: Path
) -> None:
    job = fleet.submit(**small_job(series, epochs=LONG), experiment="cancelled")
    until_checkpoint(job)
    cancel(job)
    epoch, path = job.row.checkpoint_epoch, job.row.checkpoint_path
    assert epoch is not None and path is not None
    assert (Path(fleet.settings.storage) / path).exists()
    job.retry()
    until_checkpoint(job, epoch + 1)
    assert job.attempts[1]["first_epoch"] == epoch
    cancel(job)


@pytest.mark.slow
def test_an_extended_job_is_one_that_was_asked_for_longer(fleet: LocalFleet, series: Path) -> None:
    job = fleet.submit(**small_job(series, epochs=3), experiment="extended").wait(120)
    job.extend(epochs=6)
    job.wait(120)
    straight = fleet.submit(**small_job(series, epochs=6), experiment="six").wait(120)
    assert job.history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert job.attempts[1]["first_epoch"] == 3
    assert job.history.equals(straight.history)
    assert job.scores == straight.scores
    for name, array in straight.weights().items():
        assert (job.weights()[name] == array).all(), name


@pytest.mark.slow
def test_a_resumed_experiment_equals_one_never_paused(
    fleet: LocalFleet, series: Path, straight: ff.Job
) -> None:
    job = fleet.submit(**small_job(series), experiment="paused")
    until_checkpoint(job)
    fleet.pause("paused")
    deadline = time.monotonic() + 10
    while job.refresh().row.status is not ff.JobStatus.QUEUED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    fleet.resume("paused")
    job.wait(120)
    assert outcomes(job) == ["released", "succeeded"]
    assert_equal(job, straight)


def test_a_job_beyond_its_time_is_ended_and_not_tried_again(
    fleet: LocalFleet, series: Path
) -> None:
    job = fleet.submit(**small_job(series, epochs=LONG), experiment="timeout", timeout_s=1.5).wait(
        60
    )
    assert job.status is ff.JobStatus.FAILED
    assert outcomes(job) == ["timeout"]
    assert job.error is not None
    assert job.error.message == "it ran longer than its timeout_s=1.5"
