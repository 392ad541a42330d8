"""Stops: when a fit that is told to end does so."""

from __future__ import annotations

import time

import pytest

from fitfleet.db.claims import claim_of
from fitfleet.spec.job import DatasetSpec, JobOptions, JobSpec, ModelSpec
from fitfleet.worker.engines.engine import Member, StopReason


@pytest.fixture
def member() -> Member:
    spec = JobSpec(model=ModelSpec(), dataset=DatasetSpec(), optimizer={}, loss="mse")
    return Member(claim_of(1, 1, "w"), spec, JobOptions(), None)  # type: ignore[arg-type]


def test_an_epoch_that_ends_in_time_is_finished(member: Member) -> None:
    member.epoch_began_at, member.epoch_s = time.monotonic() - 4, 5.0
    member.end_soon(StopReason.RELEASE, 8.0)
    assert member.stop is not None
    assert 7 < member.stop.deadline - time.monotonic() <= 8


def test_an_epoch_that_would_not_end_in_time_is_not_waited_for(member: Member) -> None:
    member.epoch_began_at, member.epoch_s = time.monotonic() - 4, 60.0
    member.end_soon(StopReason.RELEASE, 8.0)
    assert member.stop is not None
    assert member.stop.deadline <= time.monotonic()


def test_the_first_order_stays_but_a_lost_lease_overrules_it(member: Member) -> None:
    member.end_soon(StopReason.CANCEL, 1.0)
    member.end_soon(StopReason.RELEASE, 1.0)
    assert member.stop is not None and member.stop.reason is StopReason.CANCEL
    member.end_soon(StopReason.LOST, 0.0)
    assert member.stop.reason is StopReason.LOST


def test_a_job_that_waits_for_its_turn_uses_no_time(member: Member) -> None:
    assert member.seconds == 0.0
    member.began_at = time.monotonic() - 2
    assert member.seconds == pytest.approx(2, abs=0.5)
