"""Whether somebody has a file open for writing."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path

from fitfleet.errors import DatasetError


def check_writers(path: Path) -> None:
    """Refuse a file that a program of this machine has open for writing: it may not be whole yet.

    By a lease, which Linux grants for a file without writers; where there are no leases (another
    system, a network file system, another user's file) nothing is known and nothing refused. Only
    for a process whose signals are its own: a writer that comes meanwhile sends it SIGIO.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from fcntl import F_RDLCK, F_SETLEASE, F_UNLCK, fcntl

        signal.signal(signal.SIGIO, signal.SIG_IGN)
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl(number, F_SETLEASE, F_RDLCK)
            fcntl(number, F_SETLEASE, F_UNLCK)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise DatasetError(
                    f"{path}: is still open for writing, so it may not be whole; close it first"
                    " (a `with` block around h5py.File does)"
                ) from None
        finally:
            os.close(number)
