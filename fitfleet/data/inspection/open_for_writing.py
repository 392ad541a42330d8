"""Whether a process has a file open for writing."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path

from fitfleet.errors import DatasetError


def check_writers(path: Path) -> None:
    """Raise DatasetError for a file that a process of this machine has open for writing.

    By a lease, which Linux grants only for a file without writers. Where there are no leases
    (another system, a network file system, another user's file) no file is refused. SIGIO, which a
    writer causes that opens the file meanwhile, is ignored from here on in the whole process.
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
