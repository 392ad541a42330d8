"""What a job prints, from Python and from TensorFlow alike, goes to a file of its attempt."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TAIL_LINES = 100
_TAIL_BYTES = 32_000


@contextmanager
def captured(path: Path) -> Iterator[None]:
    """File descriptors 1 and 2 point to the file inside the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        # A log that cannot be written is no reason to lose the fit.
        yield
        return
    saved = [os.dup(1), os.dup(2)]
    _flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    try:
        yield
    finally:
        _flush()
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


def tail(path: Path) -> str:
    """The last lines of a log; empty when there is none."""
    _flush()
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").replace("\0", "").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])
    return ""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
