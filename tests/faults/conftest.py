"""Fleets with short times, for the tests to shoot at, and undisturbed runs to compare with.

Each file has its own: an idle fleet with such times takes a quarter of a core from other tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faultpoint_markers import Faults
from small_disk import SmallDisk
from support.fits import SETTINGS, small_job, write_series
from support.servers import Postgres, Valkey
from whole_fleet import OWN_CODE, WholeFleet, paused_job

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset's file."""
    return write_series(tmp_path_factory.mktemp("data") / "series.h5")


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """What can be made to happen in the workers of `fleet`."""
    return Faults(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, faults: Faults) -> Iterator[LocalFleet]:
    """An embedded fleet on SQLite: two services; what is killed of it is started again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FITFLEET_FAULT", faults.setting)
        folder = tmp_path_factory.mktemp("fleet")
        with ff.local(2, folder, slots=1, **SETTINGS, **OWN_CODE) as fleet:
            yield fleet


@pytest.fixture(scope="module")
def straight(fleet: LocalFleet, series: Path) -> ff.Job:
    """`small_job` as it ends when nothing happens to it."""
    return _undisturbed(fleet.submit(**small_job(series), experiment="straight"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeFleet]:
    """A fleet of services on PostgreSQL and Valkey: a scheduler, and a worker of two slots."""
    folder = tmp_path_factory.mktemp("whole")
    # A commit that was answered must outlive a crash of the server.
    postgres, valkey = Postgres(synchronous_commit="on"), Valkey(folder)
    fleet = None
    try:
        postgres.start()
        valkey.start()
        fleet = WholeFleet(folder, postgres, valkey)
        fleet.start("scheduler")
        fleet.start("worker", "--slots", "2")
        fleet.until_workers(2)
        yield fleet
    finally:
        if fleet is not None:
            fleet.close()
        valkey.stop()
        postgres.remove()


@pytest.fixture(scope="module")
def small_disk(whole: WholeFleet) -> SmallDisk:
    """One more worker, whose disks are small; it ends with the fleet."""
    return SmallDisk(whole)


@pytest.fixture(scope="module")
def straight_paused(whole: WholeFleet, series: Path) -> ff.Job:
    """`paused_job` as it ends when nothing happens to it."""
    whole.pace(0.0)
    return _undisturbed(whole.client.submit(**paused_job(series), experiment="straight"))


def _undisturbed(job: ff.Job) -> ff.Job:
    job.wait(90)
    assert job.status is ff.JobStatus.SUCCEEDED, job.error
    assert job.attempt == 1
    return job
