"""Temporary files of a worker service, which are deleted when it ends, however it ends.

AutoGraph writes a source file for each function that it traces and removes it when Python exits;
a forked child never exits that way, and a killed process in none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path

import psutil

_PREFIX = f"fitfleet-worker-{os.getuid()}-"


@contextmanager
def service_directory() -> Iterator[Path]:
    """Make `tempfile` use a new directory, in the children forked from here too.

    It is locked as long as one of them lives: by that a later service of the same user knows
    those that were left behind, and removes them.
    """
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*"):
        _remove_unless_locked(left)
    hidden = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    lock = os.open(hidden, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    directory = hidden.rename(parent / hidden.name.removeprefix("."))  # it is never seen unlocked
    tempfile.tempdir = str(directory)
    # multiprocessing removes its own directory in here when Python exits, at priority -100.
    removal = Finalize(None, _remove, (directory, lock), exitpriority=-200)
    try:
        yield directory
    finally:
        tempfile.tempdir = str(parent)
        if not list(directory.glob("pymp-*")):
            removal()


def _remove(directory: Path, lock: int) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    os.close(lock)


def use_child_directory() -> None:
    """Give this child a directory of its own in the service's, and remove those of dead ones."""
    service = Path(tempfile.gettempdir())
    for directory in service.glob("child-*"):
        if not psutil.pid_exists(int(directory.name.removeprefix("child-"))):
            shutil.rmtree(directory, ignore_errors=True)
    child = service / f"child-{os.getpid()}"
    child.mkdir(exist_ok=True)
    tempfile.tempdir = str(child)


def _remove_unless_locked(directory: Path) -> None:
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return  # removed by another service, or not one of ours
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
