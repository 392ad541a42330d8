"""A fleet of two workers with short times, and one undisturbed run to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fits import SETTINGS, small_job, write_series

import fitfleet as ff
from fitfleet.embedded import LocalFleet


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's file."""
    return write_series(tmp_path_factory.mktemp("data") / "series.h5")


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    """The fleet that the tests shoot at; what they kill is started again."""
    with ff.local(2, tmp_path_factory.mktemp("fleet"), **SETTINGS) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def straight(fleet: LocalFleet, series: Path) -> ff.Job:
    """The job as it ends when nothing happens to it."""
    job = fleet.submit(**small_job(series), experiment="straight").wait(90)
    assert job.status is ff.JobStatus.SUCCEEDED
    assert job.attempt == 1
    return job
