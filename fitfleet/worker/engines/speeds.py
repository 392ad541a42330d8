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

from fitfleet.data.files.fingerprint import read_json, write_json
from fitfleet.worker.engines.programs.functions import Functions, Tracing
from fitfleet.worker.engines.programs.program_store import ProgramStore

_FILE = "speeds.json"
_MAX_KEYS = 1000
# Until a program of any architecture has been made on this machine: seconds a layer.
_GUESSED_S = {"loop": 0.25, "fused": 0.5, "open": 0.5}
_STACKS = ("fused", "open")
OPEN = "open"
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


# A key of an architecture with its widths, and one that it shares with others of other widths.
Keys = tuple[str, str | None]


class Speeds:
    """Measured seconds by key and name; the quickest counts, other work only makes it slower.

    The names of an engine: its own for an epoch of one job; "... traced" and "... read" for what a
    program costs once, with its first call; "... kept" if it is on the disk; "... missed" for what
    cohorts would have gained by it; "layers". "open" is the stack by a program for any width.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._known: dict[str, dict[str, float]] = read_json(self._path) or {}

    def get(self, key: str | None, name: str) -> float | None:
        """Seconds of a name, or None."""
        return None if key is None else self._known.get(_short(key), {}).get(name)

    def of_any_width(self, keys: Keys, name: str) -> float | None:
        """Seconds of the architecture, or else of one that differs in its widths."""
        measured = self.get(keys[0], name)
        return self.get(keys[1], name) if measured is None else measured

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
        self, keys: Keys, engine: str, timer: EpochTimer, functions: Functions, layers: int
    ) -> None:
        """What a session has shown of an engine and its functions."""
        is_new, functions.are_new = functions.are_new, False
        if timer.quickest_s is None:
            return
        seconds = {engine: timer.quickest_s, "layers": float(layers)}
        if is_new:
            name = f"{engine}_read" if functions.are_read else f"{engine}_traced"
            seconds[name] = functions.made_s + timer.first_extra_s
        kept = {f"{engine}_kept": 1.0} if functions.are_kept else {}
        self.record(keys[0], **seconds, **kept)
        if keys[1] is not None:  # whose programs are those for any width alone
            self.record(keys[1], **seconds, **(kept if engine == OPEN else {}))

    def is_kept(self, keys: Keys, engine: str) -> bool:
        """Whether the engine's program has been put on the disk."""
        return self.get(_of_program(keys, engine), f"{engine} kept") is not None

    def missed_s(self, keys: Keys, engine: str) -> float:
        """By how much the cohorts that were looped would have been quicker in the traced stack."""
        return self.get(_of_program(keys, engine), f"{engine} missed") or 0.0

    def set_missed(self, keys: Keys, engine: str, seconds: float) -> None:
        """So much by now; 0 once the stack has been chosen."""
        key = _of_program(keys, engine)
        if key is not None and seconds != self.missed_s(keys, engine):
            self._known.setdefault(_short(key), {})[f"{engine} missed"] = seconds
            self._write()

    def once_s(self, keys: Keys, engine: str, layers: int, *, can_read: bool) -> float:
        """What the engine's program will cost before it is at hand: measured, or estimated.

        The estimate is the median of the architectures known on this machine, by layer.
        """
        if can_read and self.is_kept(keys, engine):
            return self._known_s(keys, engine, "read", layers, _GUESSED_S[engine] * _READ_SHARE)
        return self._known_s(keys, engine, "traced", layers, _GUESSED_S[engine])

    def _known_s(self, keys: Keys, engine: str, how: str, layers: int, guess_s: float) -> float:
        measured = self.of_any_width(keys, f"{engine} {how}")
        if measured is not None:
            return measured
        # A stack's program costs the same with widths left open.
        names = [f"{name} {how}" for name in (_STACKS if engine in _STACKS else (engine,))]
        alike = (self.of_any_width(keys, name) for name in names)
        each = [
            known[name] / known["layers"]
            for known in self._known.values()
            for name in names
            if {name, "layers"} <= known.keys()
        ]
        estimate = layers * (median(each) if each else guess_s)
        return next((seconds for seconds in alike if seconds is not None), estimate)

    def tracing(
        self, store: ProgramStore | None, engine: str, keys: Keys, layers: int
    ) -> Tracing | None:
        """With what a program of the engine says that it is being traced."""
        if store is None:
            return None
        lock = store.tracing(engine, _of_program(keys, engine) or "")
        return Tracing(lock, self.once_s(keys, engine, layers, can_read=False))

    def _write(self) -> None:
        """Two children may write at once; then one measurement is made again some day."""
        merged = {**(read_json(self._path) or {}), **self._known}
        write_json(self._path, dict(list(merged.items())[-_MAX_KEYS:]))


def _of_program(keys: Keys, engine: str) -> str | None:
    """The key of the engine's program."""
    return keys[1] if engine == OPEN else keys[0]


def _short(key: str) -> str:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    parts = (key, tf.__version__, platform.node(), os.cpu_count(), threads)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
