"""Which programs are being traced by a living process of this user, so that others can wait.

A lock of the kernel on a file beside the programs: it ends with the process that holds it, however
that ends. Two that trace the same do no harm; so nobody waits longer than a trace takes, and a
folder that cannot be written means that nobody waits at all.
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
    """That of one program."""

    def __init__(self, folder: Path, key: str) -> None:
        self._path = folder / f"{hashlib.sha256(key.encode()).hexdigest()}{LOCK_SUFFIX}"
        self._file: IO[bytes] | None = None  # holds the lock

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def take(self) -> bool:
        """Say that this process traces it; False where another does already."""
        if self._file is not None:
            return True
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(self._path, flags, 0o600), "rb")
        except OSError:
            return True  # nobody can be told
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.utime(self._path)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def age_s(self) -> float | None:
        """For how long another process has been tracing it; None if none does."""
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
        """Until no other process traces it, or it has done so for `trace_s` seconds."""
        age_s = self.age_s()
        while age_s is not None and age_s < trace_s:
            time.sleep(_POLL_S)
            age_s = self.age_s()

    def release(self) -> None:
        """It is on the disk by now, or will never be."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):
            self._path.unlink()
        # A process that was forked meanwhile has the file open too.
        fcntl.flock(file, fcntl.LOCK_UN)
        file.close()
