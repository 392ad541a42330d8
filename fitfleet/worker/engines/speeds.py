"""Seconds that an epoch of one job has taken by each engine, for one architecture on this machine.

Kept in the machine's cache folder, so that a new child need not measure again. Losing the file
costs a measurement, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

_FILE = "speeds.json"
_MAX_KEYS = 1000


class EpochTimer:
    """Seconds of the epochs of one session; the first contains what a new program costs once."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def add(self, seconds: float) -> None:
        """Another epoch has been trained."""
        self._seconds.append(seconds)

    def extend(self, seconds: float) -> None:
        """And validated."""
        self._seconds[-1] += seconds

    @property
    def quickest_s(self) -> float | None:
        """Of all but the first; None if there are no others."""
        return min(self._seconds[1:], default=None)


class Speeds:
    """Measured seconds by key and engine; the quickest counts, other work only makes it slower."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known: dict[str, dict[str, float]] = self._read()

    def get(self, key: str, engine: str) -> float | None:
        """Seconds of one job's epoch by an engine ("loop", "fused"), or None."""
        return self._known.get(_short(key), {}).get(engine)

    def record(self, key: str, engine: str, seconds: float) -> None:
        """A new measurement."""
        known = self._known.setdefault(_short(key), {})
        if seconds < known.get(engine, float("inf")):
            known[engine] = seconds
            self._write()

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            known = json.loads(self._path.read_text())
            if isinstance(known, dict):
                return known
        return {}

    def _write(self) -> None:
        """Two children may write at once; then one measurement is made again some day."""
        merged = {**self._read(), **self._known}
        kept = dict(list(merged.items())[-_MAX_KEYS:])
        draft = self._path.with_name(f".{_FILE}.{os.getpid()}")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(kept))
            os.replace(draft, self._path)


def _short(key: str) -> str:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    parts = (key, tf.__version__, os.cpu_count(), threads)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
