"""A job's life on a real embedded fleet."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import pytest
from support.waiting import until

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet
from fitfleet.errors import JobFailedError, StateError, WaitTimeoutError


def test_the_same_job_is_found_again_and_runs_again_only_when_asked(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    first = fleet.submit(**job, params={"units": 8}).wait(120)
    assert first.status is ff.JobStatus.SUCCEEDED
    again = fleet.submit(**job, params={"units": 8})
    assert (again.id, again.is_reused) == (first.id, True)
    other = fleet.submit(**job, again=True).wait(120)
    assert (other.id != first.id, other.is_reused) == (True, False)
    assert other.history.equals(first.history)


def test_arrays_train_as_the_file_that_holds_them(
    fleet: ff.Fleet, job: dict[str, Any], digits: Path
) -> None:
    with h5py.File(digits) as file:
        x, y, x_val, y_val = (file[name][()] for name in ("x_train", "y_train", "x_val", "y_val"))
    given = {**job, "dataset": (x, pd.DataFrame(y)), "validation_data": (x_val, y_val)}
    first, other = fleet.submit(**given), fleet.submit(**job)
    assert fleet.submit(**given).id == first.id
    fleet.wait([first, other], timeout_s=120)
    assert (first.status, other.status) == (ff.JobStatus.SUCCEEDED,) * 2, (first.error, other.error)
    assert first.history.equals(other.history[first.history.columns])


def test_a_running_job_is_cancelled_and_resumes_after_a_retry(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    running = fleet.submit(**{**job, "epochs": 3000, "experiment": "cancel"})
    seconds = []
    for attempt in (1, 2):
        until(lambda epoch=running.epoch: running.refresh().epoch > epoch)
        began = time.monotonic()
        running.cancel()
        assert running.wait(120).status is ff.JobStatus.CANCELLED
        seconds.append(time.monotonic() - began)
        assert running.attempt == attempt
        if attempt == 1:
            running.retry()
    assert min(seconds) < 5.0  # what else the machine does can only add to it


def test_waiting_ends_after_the_time_given_and_the_job_keeps_running(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    running = fleet.submit(**{**job, "epochs": 3000, "experiment": "patience"})
    with pytest.raises(WaitTimeoutError, match=r"1 of 1 jobs have not ended after 0.5 s"):
        fleet.wait([running], timeout_s=0.5)
    with pytest.raises(StateError, match="only a failed, cancelled or pruned job"):
        running.retry()
    running.cancel()
    running.wait(120)


@pytest.mark.filterwarnings("ignore:.*no worker serves")  # said at submit, and meant here
def test_a_queued_job_is_cancelled_at_once(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    queued = fleet.submit(**{**job, "queue": "nowhere", "experiment": "queued"})
    assert queued.cancel() is ff.JobStatus.CANCELLED


def test_a_paused_experiment_waits(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    first = fleet.submit(**{**job, "experiment": "paused", "epochs": 1}).wait(120)
    fleet.pause("paused")
    held = fleet.submit(**{**job, "experiment": "paused", "epochs": 1, "seed": first.seed + 1})
    time.sleep(1.0)
    assert held.status is ff.JobStatus.QUEUED
    fleet.resume("paused")
    assert held.wait(120).status is ff.JobStatus.SUCCEEDED


def test_an_extended_job_is_trained_for_more_epochs(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    short = fleet.submit(**{**job, "experiment": "extend"}).wait(120)
    short.extend(epochs=4)
    assert short.wait(120).status is ff.JobStatus.SUCCEEDED
    straight = fleet.submit(**{**job, "experiment": "straight", "epochs": 4}).wait(120)
    assert short.history.equals(straight.history)
    with pytest.raises(StateError, match="4 must be more than it has"):
        short.extend(epochs=4)


def test_a_failure_is_reported_with_its_class_message_and_traceback(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    broken = fleet.submit(
        **{**job, "experiment": "broken", "evaluators": ["sample_evaluators:fails"]}
    )
    with pytest.raises(JobFailedError, match=f"job {broken.id} failed: user: "):
        broken.wait(60, raise_on_failure=True)
    assert broken.error is not None
    assert broken.error.kind == "user"
    assert "there is no scale in C sharp" in broken.error.message
    assert "in fails" in broken.error.traceback
    with pytest.raises(StateError, match="has no weights: it is FAILED"):
        broken.weights()


def test_what_a_job_prints_is_kept(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    job_that_prints = fleet.submit(
        **{**job, "experiment": "logs", "evaluators": ["sample_evaluators:speaks"]}
    )
    followed = "".join(job_that_prints.logs(follow=True))
    assert job_that_prints.status is ff.JobStatus.SUCCEEDED
    assert "scored 200 rows" in followed
    assert job_that_prints.scores["rows"] == 200.0
    assert followed == job_that_prints.logs()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_job_done(
    fleet: LocalFleet, job: dict[str, Any]
) -> None:
    killed = fleet.submit(**{**job, "epochs": 150, "experiment": "killed", "checkpoint_s": 0.0})
    until(lambda: killed.refresh().epoch >= 1)
    assert killed.row.owner is not None
    pid = int(killed.row.owner.split(":")[1])
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    fleet.wait([killed], timeout_s=150)
    assert killed.status is ff.JobStatus.SUCCEEDED
    assert killed.attempt == 2
