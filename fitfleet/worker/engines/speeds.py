"""What jobs of an architecture have cost by each engine on this machine, in seconds.

Kept beside the user's programs, or else in the machine's cache folder, so that a new child need not
measure again. Losing the file costs a measurement, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path
from statistics import median

from fitfleet.data.fingerprint import read_json, write_json
from fitfleet.worker.engines.functions import Functions

_FILE = "speeds.json"
_MAX_KEYS = 1000
# Until a program of any architecture has been made on this machine: seconds a layer.
_GUESSED_S = {"loop": 0.25, "fused": 0.5}
_READ_SHARE = 0.3  # of it, for one that is read from the disk


class EpochTimer:
    """Seconds of the epochs of one session; the first contains what a new program costs once."""

    def __init__(self) -> None:
        self._seconds: list[tuple[float, int]] = []

    def add(self, seconds: float, jobs: int = 1) -> None:
        """Another epoch has been trained, of so many jobs at once."""
        self._seconds.append((seconds, jobs))

    def extend(self, seconds: float) -> None:
        """And validated."""
        before, jobs = self._seconds[-1]
        self._seconds[-1] = before + seconds, jobs

    @property
    def quickest_s(self) -> float | None:
        """Of one job, of all epochs but the first; None if there are no others."""
        return min((seconds / jobs for seconds, jobs in self._seconds[1:]), default=None)

    @property
    def first_extra_s(self) -> float:
        """By how much the first epoch took longer than it would have later."""
        if self.quickest_s is None:
            return 0.0
        seconds, jobs = self._seconds[0]
        return max(0.0, seconds - self.quickest_s * jobs)


class Speeds:
    """Measured seconds by key and name; the quickest counts, other work only makes it slower.

    The names of an engine: its own for an epoch of one job; "... traced" and "... read" for what a
    program costs once, with its first call; "... kept" if it is on the disk; "layers".
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known: dict[str, dict[str, float]] = read_json(self._path) or {}

    def get(self, key: str, name: str) -> float | None:
        """Seconds of a name, or None."""
        return self._known.get(_short(key), {}).get(name)

    def record(self, key: str, **seconds: float) -> None:
        """New measurements by name, `_` for a space."""
        known = self._known.setdefault(_short(key), {})
        before = dict(known)
        for name, value in seconds.items():
            name = name.replace("_", " ")
            known[name] = min(value, known.get(name, value))
        if known != before:
            self._write()

    def add(
        self, key: str, engine: str, timer: EpochTimer, functions: Functions, layers: int
    ) -> None:
        """What a session has shown of an engine and its functions."""
        is_new, functions.are_new = functions.are_new, False
        if timer.quickest_s is None:
            return
        seconds = {engine: timer.quickest_s, "layers": float(layers)}
        if is_new:
            name = f"{engine}_read" if functions.are_read else f"{engine}_traced"
            seconds[name] = functions.made_s + timer.first_extra_s
        if functions.are_kept:
            seconds[f"{engine}_kept"] = 1.0
        self.record(key, **seconds)

    def once_s(self, key: str, engine: str, layers: int, *, can_read: bool) -> float:
        """What the engine's program will cost before it is at hand: measured, or estimated.

        The estimate is the median of the architectures known on this machine, by layer.
        """
        if can_read and self.get(key, f"{engine} kept") is not None:
            return self._known_s(key, f"{engine} read", layers, _GUESSED_S[engine] * _READ_SHARE)
        return self._known_s(key, f"{engine} traced", layers, _GUESSED_S[engine])

    def _known_s(self, key: str, name: str, layers: int, guess_s: float) -> float:
        measured = self.get(key, name)
        if measured is not None:
            return measured
        known = (
            measured for measured in self._known.values() if {name, "layers"} <= measured.keys()
        )
        each = [measured[name] / measured["layers"] for measured in known]
        return layers * (median(each) if each else guess_s)

    def _write(self) -> None:
        """Two children may write at once; then one measurement is made again some day."""
        merged = {**(read_json(self._path) or {}), **self._known}
        write_json(self._path, dict(list(merged.items())[-_MAX_KEYS:]))


def _short(key: str) -> str:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    parts = (key, tf.__version__, platform.node(), os.cpu_count(), threads)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
