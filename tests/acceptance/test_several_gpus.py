"""Jobs on two GPUs, for which two logical devices of the CPU stand: a service from end to end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from support.fits import assert_equal, outcomes, small_job, until_checkpoint, write_series
from support.waiting import until

import fitfleet as ff
from fitfleet.db.schema.tables import attempts


@contextmanager
def _service(fleet: ff.Fleet, fault: str = "") -> Iterator[None]:
    command = [sys.executable, "-m", "fitfleet", "worker", "--gpus", "simulated:2"]
    environment = {**os.environ, **fleet.settings.to_environment(), "FITFLEET_FAULT": fault}
    service = subprocess.Popen([*command, "--threads", "1"], env=environment)
    try:
        yield
    finally:
        service.terminate()
        assert service.wait(120) == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_on_two_devices_is_drained_and_resumes_with_the_same_numbers(tmp_path: Path) -> None:
    """Its batches are whole ones; between it and another job on both the slots take other jobs."""
    series = write_series(tmp_path / "series.h5")
    plain = ff.Sequential([ff.layers.Input((8, 3)), ff.layers.LSTM(6), ff.layers.Dense(1)])
    short = {"model": plain, "callbacks": [], "epochs": 1, "optimizer": "sgd"}
    long = small_job(series, batch_size=40, epochs=12)
    with ff.local(0, tmp_path / "fleet", checkpoint_s=0.0) as fleet:
        with _service(fleet):
            straight = fleet.submit(**long, gpus=2, experiment="straight")
            both = fleet.submit(**small_job(series, **short), gpus=2, experiment="both")
            one = fleet.submit(**small_job(series, **short), gpus=1, experiment="one")
            fleet.wait([straight, both, one])
            torn = fleet.submit(**long, gpus=2, experiment="torn")
            until_checkpoint(torn)
        until(lambda: torn.refresh().status is not ff.JobStatus.RUNNING)
        with _service(fleet):
            torn.wait(600, raise_on_failure=True)
        assert outcomes(torn) == ["released", "succeeded"]
        assert_equal(torn, straight)
        assert straight.row.engine == "fit"
        assert straight.row.engine_reason == "MirroredStrategy on 2 devices"
        np.testing.assert_allclose(both.history, one.history, rtol=1e-4)
        with fleet.database.read() as c:
            assert sorted(c.scalars(select(attempts.c.gpus)), key=str) == [2, 2, 2, 2, None]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_on_two_devices_that_dies_after_its_last_epoch_is_scored_as_it_was(
    tmp_path: Path,
) -> None:
    """Its second attempt has nothing left to train: it restores, scores and saves."""
    job = small_job(write_series(tmp_path / "series.h5"), batch_size=40, epochs=2)
    fault = f"between_save_and_commit:kill:{tmp_path / 'once'}"
    with ff.local(0, tmp_path / "fleet", checkpoint_s=0.0) as fleet:
        with _service(fleet, fault):
            killed = fleet.submit(**job, gpus=2, experiment="killed")
            killed.wait(600, raise_on_failure=True)
            straight = fleet.submit(**job, gpus=2, experiment="straight")
            straight.wait(600, raise_on_failure=True)
        assert outcomes(killed) == ["lost", "succeeded"]
        assert_equal(killed, straight)
