"""What a job prints, from Python and from TensorFlow alike, goes to a file of its attempt."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_captured: list[Path] = []  # the files of the blocks that are open, the innermost last

_TAIL_LINES = 100
_TAIL_BYTES = 32_000


class _LossyFile(io.FileIO):
    """A descriptor whose writes never fail: what a full disk refuses is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _stream(descriptor: int) -> io.TextIOWrapper:
    raw = _LossyFile(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


@contextmanager
def captured(path: Path) -> Iterator[None]:
    """File descriptors 1 and 2 point to the file inside the block, and so do Python's streams.

    A log that cannot be written is no reason to lose the fit: printing never fails inside. Within
    itself, for the same file, it changes nothing.
    """
    if _captured[-1:] == [path]:
        yield
        return
    _captured.append(path)
    target = _opened(path)
    saved = [os.dup(1), os.dup(2)]
    streams = sys.stdout, sys.stderr
    _flush()
    if target is not None:
        os.dup2(target, 1)
        os.dup2(target, 2)
        os.close(target)
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    try:
        yield
    finally:
        _captured.pop()
        _flush()
        sys.stdout, sys.stderr = streams
        for number, descriptor in zip((1, 2), saved, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _opened(path: Path) -> int | None:
    for _ in range(2):
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except FileNotFoundError:  # the first log of its job
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            break
    return None


def add(path: Path, text: str) -> None:
    """Append a line to a log, after all that was printed; errors are ignored."""
    _flush()
    target = _opened(path)
    if target is not None:
        with suppress(OSError):
            os.write(target, f"{text}\n".encode(errors="backslashreplace"))
        os.close(target)


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
