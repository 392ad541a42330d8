"""Which programs are being traced by a process of this user, so that others can wait for them.

That is a file lock beside the programs, which the kernel releases when the process ends. Two
processes may trace the same program; so none waits longer than a trace takes, and without a
writable folder none waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

LOCK_SUFFIX = ".tracing"
_POLL_S = 0.05


class TraceLock:
    """The lock of one program."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}{LOCK_SUFFIX}"
        self._file: IO[bytes] | None = None  # holds the lock

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def take(self) -> bool:
        """Lock the program for this process; False if another process traces it."""
        if self._file is not None:
            return True
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(self._path, flags, 0o600), "rb")
        except OSError:
            return True  # without a file there is no lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.utime(self._path)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def age_s(self) -> float | None:
        """Seconds since another process began to trace it; None if none does."""
        if self._file is not None:
            return None
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return max(0.0, time.time() - os.fstat(handle).st_mtime)
        finally:
            os.close(handle)
        return None

    def wait(self, trace_s: float) -> None:
        """Wait until no other process traces it, or one has done so for `trace_s` seconds."""
        age_s = self.age_s()
        while age_s is not None and age_s < trace_s:
            time.sleep(_POLL_S)
            age_s = self.age_s()

    def release(self) -> None:
        """Unlock it: the program is stored, or cannot be."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):
            self._path.unlink()
        # A process that was forked meanwhile has the file open too.
        fcntl.flock(file, fcntl.LOCK_UN)
        file.close()
