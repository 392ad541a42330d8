"""A process says that it traces a program for as long as it lives, and no longer."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fitfleet.worker.engines.programs.trace_lock import TraceLock

_HOLDER = """
import sys, time
from pathlib import Path
from fitfleet.worker.engines.programs.trace_lock import TraceLock
lock = TraceLock(Path(sys.argv[1]), "a")
print(lock.take(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which traces the program "a"."""
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_one_process_traces(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    lock = TraceLock(tmp_path, "a")
    age_s = lock.age_s()
    assert age_s is not None and 0 <= age_s < 60
    assert not lock.take()
    assert TraceLock(tmp_path, "b").age_s() is None
    assert TraceLock(tmp_path, "b").take()


def test_nobody_waits_longer_than_a_trace_takes(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    began = time.monotonic()
    TraceLock(tmp_path, "a").wait(0.0)
    assert time.monotonic() - began < 60  # the holder stays
    TraceLock(tmp_path, "a").wait(0.3)
    assert TraceLock(tmp_path, "a").age_s() is not None


def test_a_tracer_that_is_killed_is_waited_for_no_more(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    lock = TraceLock(tmp_path, "a")
    lock.wait(60.0)
    assert lock.age_s() is None
    assert lock.take()


def test_what_is_released_leaves_no_file(tmp_path: Path) -> None:
    lock = TraceLock(tmp_path, "a")
    assert lock.take() and lock.take()
    assert TraceLock(tmp_path, "a").age_s() is not None  # of another lock of this process, too
    lock.release()
    lock.release()
    assert TraceLock(tmp_path, "a").age_s() is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_keeps_nobody_waiting(tmp_path: Path) -> None:
    lock = TraceLock(tmp_path / "none", "a")
    lock.wait(60.0)
    assert lock.take()
    lock.release()
