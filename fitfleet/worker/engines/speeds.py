"""Seconds that a member's epoch has taken by each way, for one architecture on this machine.

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
_MOST_KEYS = 1000


class Speeds:
    """Measured seconds by key and way; the quickest counts, other work only makes it slower."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known: dict[str, dict[str, float]] = self._read()

    def get(self, key: str, way: str) -> float | None:
        """Seconds a member's epoch by a way ("loop", "fused"), or None."""
        return self._known.get(_short(key), {}).get(way)

    def record(self, key: str, way: str, seconds: float) -> None:
        """A new measurement."""
        own = self._known.setdefault(_short(key), {})
        if seconds < own.get(way, float("inf")):
            own[way] = seconds
            self._write()

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            found = json.loads(self._path.read_text())
            if isinstance(found, dict):
                return found
        return {}

    def _write(self) -> None:
        """Two children may write at once; then one measurement is made again some day."""
        merged = {**self._read(), **self._known}
        kept = dict(list(merged.items())[-_MOST_KEYS:])
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
