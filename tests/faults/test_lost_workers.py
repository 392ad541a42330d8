"""A worker killed, frozen or drained in the middle of a fit: the result is bit-equal."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from faultpoint_markers import Faults
from support.fits import (
    assert_equal,
    child_of,
    outcomes,
    service_of,
    small_job,
    stop,
    until,
    until_checkpoint,
    wake,
)

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet


def test_a_killed_job_resumes_bit_equal(fleet: LocalFleet, series: Path, straight: ff.Job) -> None:
    job = fleet.submit(**small_job(series), experiment="child")
    until_checkpoint(job)
    os.kill(child_of(job).pid, signal.SIGKILL)
    job.wait(120)
    assert outcomes(job) == ["lost", "succeeded"]
    assert job.attempts[1]["first_epoch"] >= 3
    assert_equal(job, straight)


def test_a_drained_job_resumes_elsewhere_bit_equal(
    fleet: LocalFleet, series: Path, straight: ff.Job
) -> None:
    job = fleet.submit(**small_job(series), experiment="drain")
    until_checkpoint(job)
    service_of(job).terminate()
    job.wait(120)
    assert outcomes(job) == ["released", "succeeded"]
    assert job.row.failures == 0
    assert job.attempts[0]["worker"] != job.attempts[1]["worker"]
    assert_equal(job, straight)


def test_a_child_that_wakes_after_its_lease_changes_nothing(
    fleet: LocalFleet, series: Path, straight: ff.Job
) -> None:
    job = fleet.submit(**small_job(series), experiment="zombie")
    until_checkpoint(job)
    zombie = child_of(job)
    stop(zombie, fleet.database)
    try:
        job.wait(120)
        assert_equal(job, straight)
        row = job.row
    finally:
        wake(zombie)
    # The zombie's slot takes a job again only when its fit has ended.
    others = fleet.submit_many(
        small_job(series, seed=seed, epochs=1, experiment="after") for seed in range(4)
    )
    log = Path(fleet.settings.logs) / str(job.id) / "attempt-1.log"
    until(lambda: "lost: its lease ended" in log.read_text())
    fleet.wait(others, timeout_s=60, raise_on_failure=True)
    assert outcomes(job) == ["lost", "succeeded"]
    assert job.refresh().row == row
    assert_equal(job, straight)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        pytest.param("in_checkpoint:kill", "lost", marks=pytest.mark.slow),
        pytest.param("after_checkpoint:kill", "lost", marks=pytest.mark.slow),
        ("between_save_and_commit:kill", "lost"),
        pytest.param("in_checkpoint:raise", "storage", marks=pytest.mark.slow),
    ],
)
def test_a_fault_while_saving_leaves_the_result_bit_equal(
    fault: str,
    outcome: str,
    fleet: LocalFleet,
    faults: Faults,
    series: Path,
    straight: ff.Job,
) -> None:
    faults.arm(fault)
    job = fleet.submit(**small_job(series), experiment=fault).wait(90)
    assert faults.has_fired(fault)
    assert outcomes(job) == [outcome, "succeeded"]
    assert_equal(job, straight)


def test_a_committed_success_outlives_its_worker(
    fleet: LocalFleet, faults: Faults, series: Path, straight: ff.Job
) -> None:
    faults.arm("after_commit:kill")
    job = fleet.submit(**small_job(series), experiment="committed").wait(90)
    until(lambda: faults.has_fired("after_commit:kill"))
    assert outcomes(job) == ["succeeded"]
    assert job.history.equals(straight.history)


@pytest.mark.slow
def test_a_job_that_kills_its_workers_fails_at_its_limit(
    fleet: LocalFleet, faults: Faults, series: Path
) -> None:
    faults.arm("epoch_end:kill")
    job = fleet.submit(**small_job(series), experiment="poison", max_failures=2)
    until(lambda: faults.has_fired("epoch_end:kill"))
    faults.arm("epoch_end:kill")
    job.wait(90)
    assert job.status is ff.JobStatus.FAILED
    assert outcomes(job) == ["lost", "lost"]
    assert job.error is not None
    assert job.error.kind == "lost"
