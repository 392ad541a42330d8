"""Tasks of models with code of the user's, of jobs that are gone, and of workers that die."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets import Fleet

from fitfleet.client.job import Job
from fitfleet.db.attempts import leases
from fitfleet.db.reading import lookup
from fitfleet.db.scheduling import recovery
from fitfleet.errors import JobFailedError
from fitfleet.spec.parts.layers import builder
from fitfleet.states import JobStatus

# The fleet of these tests is a child that registers no slot.
pytestmark = pytest.mark.filterwarnings("ignore:no worker is running yet")

HERE = str(Path(__file__).parent)
FIT = {"loss": "mse", "optimizer": "adam", "batch_size": 8, "seed": 1}


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    trusting = {"trusted_modules": ("own_models",), "module_path": (HERE,)}
    with Fleet(sqlite_url, tmp_path, **trusting) as fleet:
        yield fleet


@pytest.fixture
def fitted(fleet: Fleet, tmp_path: Path) -> Job:
    """A subclassed model that is built at its first batch, in float64."""
    rng = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    np.savez(path, x=rng.random((40, 3), "float32"), y=rng.random((40, 1), "float32"))
    row = fleet.run(
        model=builder("own_models:mlp"), dataset=str(path), dtype_policy="float64", **FIT
    )
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    return Job(fleet.database, fleet.settings, row)


def answered(fleet: Fleet, ask: Callable[[], Any], work: Callable[[], None]) -> Any:
    """What a script is told while `work` does the job that it has queued."""
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(ask)
        while not told.done():
            with fleet.database.read() as c:
                waits = lookup.find_jobs(c, statuses=[JobStatus.QUEUED])
            if waits:
                work()
                break
            time.sleep(0.05)
        return told.result(timeout=60)


def test_a_model_of_ones_own_predicts_what_it_predicts_here(fleet: Fleet, fitted: Job) -> None:
    x = np.random.default_rng(1).random((20, 3), "float32")
    predicted = answered(
        fleet, lambda: fitted.predict(x, where="fleet", batch_size=8), fleet.attempt
    )
    assert predicted.dtype == np.float64
    np.testing.assert_array_equal(predicted, fitted.predict(x, where="here", batch_size=8))


def test_an_attempt_that_is_lost_leaves_nothing(fleet: Fleet, fitted: Job, tmp_path: Path) -> None:
    """A worker that has lost the task commits nothing; the next one answers once."""

    def lose_and_answer() -> None:
        claim = fleet.claim()  # by a worker that dies
        with fleet.database.begin() as c:
            assert leases.heartbeat(c, [claim], -1.0)
            assert recovery.requeue_expired(c, 0.0) == [claim.job_id]
        fleet.attempt()

    x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "float32")
    told = answered(fleet, lambda: fitted.evaluate((x, y), where="fleet"), lose_and_answer)
    assert told == fitted.evaluate((x, y), where="here")
    with fleet.database.read() as c:
        (asked,) = lookup.find_jobs(c, f"{fitted.experiment}-evaluations")
    assert (asked.attempt, asked.failures, asked.epochs) == (2, 1, 0)
    assert [attempt["outcome"] for attempt in fleet.attempts(asked.id)] == ["lost", "succeeded"]
    assert fleet.files(asked) == ["attempt-2.weights.h5"]


def test_weights_that_are_gone_are_named(fleet: Fleet, fitted: Job) -> None:
    x = np.ones((4, 3), "float32")

    def remove_and_answer() -> None:
        fitted.weights_path.unlink()
        fleet.attempt()

    with pytest.raises(
        JobFailedError, match=rf"to predict by job {fitted.id}, has ended as FAILED"
    ):
        answered(fleet, lambda: fitted.predict(x, where="fleet"), remove_and_answer)
