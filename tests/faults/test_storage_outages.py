"""Storage that is gone, full, read-only or slow: the fit resumes from its last checkpoint."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from faultpoint_markers import Faults
from small_disk import SmallDisk, can_mount
from support.fits import assert_equal, outcomes, small_job, until_checkpoint
from support.processes import fitting_children
from support.waiting import until
from whole_fleet import WholeFleet, paused_job

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet


@contextmanager
def unmounted(whole: WholeFleet) -> Iterator[None]:
    """There is no such folder any more."""
    folder = Path(whole.settings.storage)
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("")
    yield
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)


@contextmanager
def limited(whole: WholeFleet) -> Iterator[None]:
    """No file may become larger, as a quota has it: the refusal comes in the middle of a file."""
    children = fitting_children(psutil.Process(whole.worker_pid))
    for child in children:
        child.rlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
    yield
    for child in children:
        child.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@contextmanager
def full(disk: SmallDisk) -> Iterator[None]:
    """No space left on the device, for weights and logs."""
    disk.fill()
    yield
    disk.clear()


@contextmanager
def read_only(disk: SmallDisk) -> Iterator[None]:
    """As after an error of the disk."""
    disk.lock()
    yield
    disk.unlock()


OUTAGES: list[Callable[..., AbstractContextManager[None]]] = [unmounted, limited]
if can_mount():  # an ordinary user may be kept from it; the others need nothing
    OUTAGES += [full, read_only]


@pytest.mark.slow
@pytest.mark.parametrize("outage", OUTAGES)
def test_a_storage_that_refuses_writes_is_waited_for(
    outage: Callable[..., AbstractContextManager[None]],
    request: pytest.FixtureRequest,
    whole: WholeFleet,
    series: Path,
    straight_paused: ff.Job,
) -> None:
    place = request.getfixturevalue("small_disk") if outage in (full, read_only) else whole
    client = place.client
    whole.pace(0.05)
    job = client.submit(**paused_job(series), experiment=outage.__name__, max_failures=1)
    until_checkpoint(job)
    with outage(place):
        until(lambda: outcomes(job)[:2] == ["storage", "storage"])
        checkpoint, path = job.refresh().row.checkpoint_epoch, job.row.checkpoint_path
        assert checkpoint is not None and path is not None
    assert (Path(client.settings.storage) / path).exists()
    whole.pace(0.0)
    job.wait(120)
    *failed, last = job.attempts
    assert {attempt["outcome"] for attempt in failed} == {"storage"}
    assert "cannot be" in failed[0]["message"]
    assert last["first_epoch"] == checkpoint
    for number, (before, after) in enumerate(pairwise(job.attempts)):
        assert after["started_at"] - before["ended_at"] > whole.settings.backoff_s * 2**number
    assert_equal(job, straight_paused)


@pytest.mark.slow
@pytest.mark.parametrize("is_whole", [False, True], ids=["sqlite", "postgresql"])
def test_storage_that_is_slower_than_a_lease(
    is_whole: bool,
    fleet: LocalFleet,
    whole: WholeFleet,
    faults: Faults,
    series: Path,
    straight: ff.Job,
) -> None:
    client = whole.client if is_whole else fleet
    armed = whole.faults if is_whole else faults
    armed.arm("in_publish:slow")
    began = time.monotonic()
    job = client.submit(**small_job(series), experiment="slow").wait(120)
    assert armed.has_fired("in_publish:slow")
    assert time.monotonic() - began > client.settings.lease_s
    assert outcomes(job) == ["succeeded"]
    assert_equal(job, straight)
