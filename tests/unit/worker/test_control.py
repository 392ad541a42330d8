"""Stops: when a fit that is told to end does so."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from fitfleet.db.attempts.claims import claim_of
from fitfleet.worker.control import Interrupted, JobControl, StopReason


@pytest.fixture
def control() -> JobControl:
    return JobControl(claim_of(1, 1, "w"))


def after_an_epoch_of(control: JobControl, seconds: float) -> None:
    """One epoch has taken so long, and the next begins."""
    control.start_epoch()
    time.sleep(seconds)
    control.end_epoch()
    control.start_epoch()


def test_an_epoch_that_ends_in_time_is_finished(control: JobControl) -> None:
    after_an_epoch_of(control, 0.05)
    control.end_soon(StopReason.RELEASE, 8.0)
    assert control.stop is not None
    assert 7 < control.stop.deadline - time.monotonic() <= 8
    control.check()


def test_an_epoch_that_would_not_end_in_time_is_not_waited_for(control: JobControl) -> None:
    after_an_epoch_of(control, 0.05)
    control.end_soon(StopReason.RELEASE, 0.01)
    assert control.stop is not None
    assert control.stop.deadline <= time.monotonic()
    with pytest.raises(Interrupted):
        control.check()


def test_the_first_order_stays_but_a_lost_lease_overrules_it(control: JobControl) -> None:
    control.end_soon(StopReason.CANCEL, 1.0)
    control.end_soon(StopReason.RELEASE, 1.0)
    assert control.stop is not None and control.stop.reason is StopReason.CANCEL
    control.end_soon(StopReason.LOST, 0.0)
    assert control.stop.reason is StopReason.LOST


def test_a_job_that_waits_for_its_turn_uses_no_time(control: JobControl) -> None:
    with control.loading():
        assert control.is_training and control.seconds == 0.0
    began = time.monotonic()
    control.start()
    time.sleep(0.05)
    assert 0.05 <= control.seconds <= time.monotonic() - began


def test_a_job_stopped_while_it_waited_does_not_begin(control: JobControl) -> None:
    control.end_soon(StopReason.RELEASE, 60.0)
    control.start()
    with pytest.raises(Interrupted):
        control.check()


def test_its_lease_is_needed_until_its_commit_has_ended(control: JobControl) -> None:
    control.start_commit()
    control.finish()
    assert control.is_held and control.is_done
    control.end_commit()
    assert not control.is_held


def test_an_order_may_come_from_a_handler_while_the_lock_is_held(control: JobControl) -> None:
    """A signal handler runs in the training thread, wherever that is."""
    with control._lock:
        control.end_soon(StopReason.RELEASE, 0.0)
    assert control.stop is not None
    beating = threading.Thread(target=control.end_soon, args=(StopReason.LOST, 0.0))
    beating.start()
    beating.join(5)
    assert control.stop.reason is StopReason.LOST


def test_the_first_epoch_traces_and_does_not_count_among_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([1.0, 1.0, 10.0, 10.0, 12.0, 12.0, 15.0, 15.0, 19.0])
    stopped = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("fitfleet.worker.control.time", stopped)
    held = JobControl(claim_of(1, 1, "w"))
    assert held.epoch_seconds is None
    seen = []
    for _ in range(4):
        held.start_epoch()
        held.end_epoch()
        seen.append(held.epoch_seconds)
    assert seen == [9.0, 2.0, 2.5, 3.0]
