"""Fits that hang or run out of memory: each is ended as what it is, and tried again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from support.fits import assert_equal, outcomes, small_job, until_checkpoint
from support.waiting import until
from whole_fleet import WholeFleet, paused_job, with_own_layer

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet

STALL_S = 20.0  # a slow machine needs over 10 s to start a child and trace its model
HELD_ROWS = 220  # that the limited memory has room for, of 240


class Troubled(NamedTuple):
    """Jobs that get into trouble at the same time."""

    hung: ff.Job
    hung_in_load: ff.Job
    large: ff.Job


@pytest.fixture(scope="module")
def troubled(
    fleet: LocalFleet, whole: WholeFleet, series: Path, straight_paused: ff.Job
) -> Troubled:
    job = small_job(series, epochs=2, batch_size=240, validation_batch_size=8)
    job |= {
        "model": with_own_layer("Hungry", mib=4 * HELD_ROWS),
        "evaluators": ["costly_layers:freed"],
    }
    large = fleet.submit(**job, experiment="large", shrink_on_oom=True, max_failures=4)
    whole.pace(0.05)
    hung = whole.client.submit(**paused_job(series), experiment="hung", stall_timeout_s=STALL_S)
    until_checkpoint(hung)
    whole.faults.arm("epoch_end:hang")
    until(lambda: whole.faults.has_fired("epoch_end:hang"))
    whole.faults.arm("in_load:hang")
    hung_in_load = whole.client.submit(
        **paused_job(series), experiment="hung in load", stall_timeout_s=STALL_S
    )
    until(lambda: whole.faults.has_fired("in_load:hang"))
    whole.pace(0.0)
    return Troubled(hung, hung_in_load, large)


@pytest.mark.slow
def test_the_oom_fallback_under_a_real_limit(troubled: Troubled) -> None:
    job = troubled.large.wait(120)
    assert job.status is ff.JobStatus.SUCCEEDED, job.error
    assert outcomes(job) == ["memory", "memory", "succeeded"]
    first, alone, halved = job.attempts
    assert "out of memory: OOM when allocating tensor" in first["message"]
    assert alone["engine_reason"] == "alone, after it ran out of memory"
    assert "in batches of 120 instead of 240 rows" in halved["engine_reason"]
    assert "gradient_accumulation_steps=2" in halved["engine_reason"]


@pytest.mark.slow
def test_a_fit_that_hangs_is_tried_again(troubled: Troubled, straight_paused: ff.Job) -> None:
    job = troubled.hung.wait(120)
    assert outcomes(job) == ["stalled", "succeeded"]
    assert job.attempts[0]["message"] == f"the fit has made no progress for {STALL_S:g} s"
    assert job.attempts[1]["first_epoch"] >= 3
    assert_equal(job, straight_paused)


@pytest.mark.slow
def test_a_dataset_that_hangs_is_tried_again(troubled: Troubled, straight_paused: ff.Job) -> None:
    job = troubled.hung_in_load.wait(120)
    assert outcomes(job) == ["stalled", "succeeded"]
    assert_equal(job, straight_paused)
