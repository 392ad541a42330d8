"""This machine's copies of objects: bounded, and never taken away from a process that uses them."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DRAFTS = "drafts"
_STALE_DRAFT_S = 86_400.0
_HELD = 16  # of a process: a job reads one dataset, its checkpoint, and what it starts from


class _Held:
    """Files that this process has asked for last, each with a shared lock on it."""

    def __init__(self) -> None:
        self._process = 0
        self._locks: OrderedDict[Path, int] = OrderedDict()

    def hold(self, path: Path) -> None:
        """Keep the file from being evicted for a while. OSError if it is gone."""
        if self._process != os.getpid():  # a lock of before the fork is held by the parent too
            self._close(0)
            self._process = os.getpid()
        if path in self._locks and not _is_same(self._locks[path], path):
            os.close(self._locks.pop(path))
        if path not in self._locks:
            self._locks[path] = _locked(path, "LOCK_SH")
        self._locks.move_to_end(path)
        self._close(_HELD)

    def _close(self, left: int) -> None:
        while len(self._locks) > left:
            _, number = self._locks.popitem(last=False)
            os.close(number)


_held = _Held()


class ObjectCache:
    """Files below `folder`, `max_bytes` of them; what was used longest ago goes first."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes

    @contextmanager
    def draft(self, suffix: str = "") -> Iterator[Path]:
        """A path to write to; nothing stays there. OSError if the disk refuses."""
        folder = self.folder / _DRAFTS
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}{suffix}"
        try:
            yield path
        finally:
            with suppress(OSError):
                path.unlink()

    def get(self, name: str) -> Path | None:
        """The file, which stays while this process uses it; None if it is not here."""
        path = self.folder / name
        try:
            _held.hold(path)
            os.utime(path)
        except OSError:
            return None
        return path

    def put(self, draft: Path, name: str) -> Path:
        """Keep a draft as this file. OSError if the disk refuses."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(draft, path)
        _held.hold(path)
        self._trim()
        return path

    def drop(self, name: str) -> None:
        """Take a file away that is not what it should be."""
        with suppress(OSError):
            (self.folder / name).unlink()

    def free_bytes(self) -> int:
        """Space left on its disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.folder).free

    def _trim(self) -> None:
        entries = sorted(self._entries())
        used = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if used <= self._max_bytes:
                return
            if _evict(path):
                used -= size

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """(last use, bytes, path). A draft counts only when its writer must be dead."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    about = path.stat()
                    is_draft = path.parent.name == _DRAFTS
                    if not is_draft or about.st_mtime < time.time() - _STALE_DRAFT_S:
                        yield about.st_mtime, about.st_size, path


def _is_same(number: int, path: Path) -> bool:
    """Whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.fstat(number), path.stat())
    except OSError:
        return False


def _evict(path: Path) -> bool:
    """Remove a file that no process holds."""
    with suppress(OSError):
        number = _locked(path, "LOCK_EX", "LOCK_NB")
        try:
            path.unlink()
            return True
        finally:
            os.close(number)
    return False


def _locked(path: Path, *how: str) -> int:
    """The file, open and locked; where there are no such locks, open. OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(ImportError):
            import fcntl

            fcntl.flock(number, sum(getattr(fcntl, name) for name in how))
    except OSError:
        os.close(number)
        raise
    return number
