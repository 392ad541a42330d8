"""The broker killed, frozen and flushed, while jobs are dispatched and fitted."""

from __future__ import annotations

import signal
import time
import warnings
from pathlib import Path

import pytest
from support.fits import assert_equal, outcomes, small_job, until_checkpoint
from support.waiting import until
from whole_fleet import WholeFleet, paused_job

import fitfleet as ff

FROZEN_S = 11.0  # more than the 10 s after which a socket is given up


@pytest.mark.slow
def test_jobs_outlive_every_outage_of_the_broker(
    whole: WholeFleet, series: Path, straight_paused: ff.Job
) -> None:
    seeds = iter(range(100, 200))

    def dispatched() -> list[ff.Job]:
        """Three jobs for the one free slot, wherever they are when the fault comes."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the broker may be away
            return whole.client.submit_many(
                small_job(series, epochs=2, seed=next(seeds), experiment="outage") for _ in range(3)
            )

    whole.pace(0.05)
    job = whole.client.submit(**paused_job(series), experiment="broker")
    until_checkpoint(job, 2)
    handles = dispatched()
    whole.valkey.stop(signal.SIGKILL)
    handles += dispatched()
    whole.valkey.start()
    whole.client.wait(handles, timeout_s=120)

    handles += dispatched()
    whole.valkey.freeze()
    time.sleep(FROZEN_S)
    whole.valkey.thaw()
    whole.client.wait(handles, timeout_s=120)

    handles += dispatched()
    until(lambda: ff.JobStatus.DISPATCHED in [handle.status for handle in handles])
    whole.valkey.flush()
    whole.client.wait(handles, timeout_s=120)

    assert job.refresh().status is ff.JobStatus.RUNNING, "the fit was too short for the faults"
    whole.pace(0.0)
    job.wait(120)
    assert outcomes(job) == ["succeeded"]
    assert [outcomes(handle) for handle in handles] == [["succeeded"]] * len(handles)
    assert_equal(job, straight_paused)
