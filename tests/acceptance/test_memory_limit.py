"""Two workers share a memory limit: fits are packed by what they were measured to need.

Real fits with one tensor of a known size; an allocation above the limit fails as on a full machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import sqlalchemy as sa

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet

LIMIT_BYTES = 1_900_000_000
ROWS = 600
ROW_BYTES = 3_200_000  # of the tensor that the model makes for each row of a batch


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["x_train"] = rng.normal(size=(ROWS, 80)).astype("float32")
        file["y_train"] = rng.normal(size=(ROWS, 1)).astype("float32")
    return path


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    folder = tmp_path_factory.mktemp("fleet")
    options = {"memory_limit_bytes": LIMIT_BYTES, "backoff_s": 0.1, "heartbeat_s": 0.5}
    with ff.local(2, folder, **options) as fleet:
        yield fleet


def _wide(data: Path, batch_size: int, **more: Any) -> dict[str, Any]:
    layers = [
        ff.layers.Input((80,)),
        ff.layers.RepeatVector(ROW_BYTES // (80 * 4)),
        ff.layers.GlobalAveragePooling1D(),
        ff.layers.Dense(1),
    ]
    model = ff.Sequential(layers)
    job = {"model": model, "dataset": str(data), "optimizer": "sgd", "loss": "mse", "epochs": 1}
    return {**job, "batch_size": batch_size, "fuse": False, **more}


def _outcomes(job: ff.Job) -> list[str]:
    return [str(attempt["outcome"]) for attempt in job.attempts]


def _times(fleet: LocalFleet, experiment: str) -> list[tuple[float, float]]:
    text = sa.text(
        "SELECT a.started_at, a.ended_at FROM attempts a JOIN jobs j ON j.id = a.job_id"
        " JOIN experiments e ON e.id = j.experiment_id WHERE e.name = :name ORDER BY a.started_at"
    )
    with fleet.database.read() as c:
        return [(row[0], row[1]) for row in c.execute(text, {"name": experiment})]


@pytest.mark.slow
def test_fits_that_do_not_fit_together_run_one_after_the_other(
    limited: LocalFleet, data: Path
) -> None:
    jobs = [limited.submit(**_wide(data, 200), seed=n, experiment="wide") for n in range(4)]
    limited.wait(jobs, timeout_s=200, raise_on_failure=True)
    times = _times(limited, "wide")
    assert len(times) == 4
    assert all(before[1] <= after[0] for before, after in pairwise(times))
    with limited.database.read() as c:
        (row,) = c.execute(sa.text("SELECT peak_bytes, cohort FROM memory WHERE batch_size = 200"))
        needs = list(c.scalars(sa.text("SELECT needs_bytes FROM jobs ORDER BY started_at")))
    assert 200 * ROW_BYTES < row.peak_bytes < 4 * 200 * ROW_BYTES
    assert needs[0] is None  # it ran alone, which measured the others
    assert all(need > row.peak_bytes for need in needs[1:])


@pytest.mark.slow
def test_out_of_memory_alone_the_job_has_failed_with_what_there_is(
    limited: LocalFleet, data: Path
) -> None:
    job = limited.submit(**_wide(data, ROWS), experiment="large").wait(200)
    assert _outcomes(job) == ["memory", "memory"]
    assert job.status is ff.JobStatus.FAILED
    assert job.error is not None
    assert job.error.message == (
        "out of memory: it needs more than 1.9GB, alone on cpu, and the largest device of queue"
        " 'cpu' has 1.9GB; give it a smaller batch_size, or shrink_on_oom=True"
    )


@pytest.mark.slow
def test_with_leave_it_is_trained_in_smaller_batches(limited: LocalFleet, data: Path) -> None:
    job = limited.submit(**_wide(data, ROWS), experiment="shrunk", shrink_on_oom=True).wait(200)
    assert job.status is ff.JobStatus.SUCCEEDED, job.error
    assert _outcomes(job)[-1] == "succeeded"
    assert "gradient_accumulation_steps=" in job.attempts[-1]["engine_reason"]
