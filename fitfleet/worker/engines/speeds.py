"""Measured seconds of each engine for the architectures of this machine.

The file is beside the user's stored programs, or else in the cache folder of the machine, so that a
new child need not measure again. If it is lost, times are measured again.
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
# Seconds for each layer, until a program of any architecture has been traced on this machine.
_GUESSED_S = {"loop": 0.25, "fused": 0.5, "open": 0.5}
_STACKS = ("fused", "open")
OPEN = "open"
_READ_SHARE = 0.3  # of the time of a trace, to read a program from the disk


class EpochTimer:
    """Seconds of the epochs of one session; the first includes the once-only cost of a program."""

    def __init__(self) -> None:
        self._seconds: list[tuple[float, int]] = []

    def add(self, seconds: float, jobs: int = 1) -> None:
        """Add the training of an epoch, of `jobs` at once."""
        self._seconds.append((seconds, jobs))

    def extend(self, seconds: float) -> None:
        """Add the validation of that epoch."""
        before, jobs = self._seconds[-1]
        self._seconds[-1] = before + seconds, jobs

    @property
    def quickest_s(self) -> float | None:
        """The shortest epoch of one job, without the first; None if there was no other."""
        return min((seconds / jobs for seconds, jobs in self._seconds[1:]), default=None)

    @property
    def first_extra_s(self) -> float:
        """Seconds that the first epoch took longer than the shortest."""
        if self.quickest_s is None:
            return 0.0
        seconds, jobs = self._seconds[0]
        return max(0.0, seconds - self.quickest_s * jobs)


# The key of an architecture, and the one that it shares with those of other widths (or None).
Keys = tuple[str, str | None]


class Speeds:
    """Measured seconds by key and name. The minimum is kept, as other work only adds time.

    Names: that of an engine for an epoch of one job ("open" is fused with a program for any width);
    "... traced" and "... read" for the once-only cost of its program, with the first call; "...
    kept" if that is on the disk; "... missed" for the seconds that cohorts would have gained by it;
    "layers", the number of layers.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._measured: dict[str, dict[str, float]] = read_json(self._path) or {}

    def get(self, key: str | None, name: str) -> float | None:
        """The value of a name, or None."""
        return None if key is None else self._measured.get(_short(key), {}).get(name)

    def of_any_width(self, keys: Keys, name: str) -> float | None:
        """Seconds of the architecture, or else of one that differs in its widths."""
        measured = self.get(keys[0], name)
        return self.get(keys[1], name) if measured is None else measured

    def record(self, key: str, **seconds: float) -> None:
        """Record measurements by name, with `_` for a space."""
        values = self._measured.setdefault(_short(key), {})
        before = dict(values)
        for name, value in seconds.items():
            name = name.replace("_", " ")
            values[name] = min(value, values.get(name, value))
        if values != before:
            self._write()

    def add(
        self, keys: Keys, engine: str, timer: EpochTimer, functions: Functions, layers: int
    ) -> None:
        """Record the epochs of a session, and the once-only cost of its functions."""
        is_new, functions.are_new = functions.are_new, False
        if timer.quickest_s is None:
            return
        seconds = {engine: timer.quickest_s, "layers": float(layers)}
        if is_new:
            name = f"{engine}_read" if functions.are_read else f"{engine}_traced"
            seconds[name] = functions.made_s + timer.first_extra_s
        kept = {f"{engine}_kept": 1.0} if functions.are_kept else {}
        self.record(keys[0], **seconds, **kept)
        if keys[1] is not None:  # its only programs are those for any width
            self.record(keys[1], **seconds, **(kept if engine == OPEN else {}))

    def is_kept(self, keys: Keys, engine: str) -> bool:
        """Whether the engine's program is stored on the disk."""
        return self.get(_of_program(keys, engine), f"{engine} kept") is not None

    def missed_s(self, keys: Keys, engine: str) -> float:
        """Seconds that looped cohorts would have gained with the traced stack."""
        return self.get(_of_program(keys, engine), f"{engine} missed") or 0.0

    def set_missed(self, keys: Keys, engine: str, seconds: float) -> None:
        """Set these seconds; 0 once the stack has been chosen."""
        key = _of_program(keys, engine)
        if key is not None and seconds != self.missed_s(keys, engine):
            self._measured.setdefault(_short(key), {})[f"{engine} missed"] = seconds
            self._write()

    def once_s(self, keys: Keys, engine: str, layers: int, *, can_read: bool) -> float:
        """Seconds to trace or read the engine's program: measured, or estimated.

        The estimate is from the median time for a layer of the architectures of this machine.
        """
        if can_read and self.is_kept(keys, engine):
            return self._once_s(keys, engine, "read", layers, _GUESSED_S[engine] * _READ_SHARE)
        return self._once_s(keys, engine, "traced", layers, _GUESSED_S[engine])

    def _once_s(self, keys: Keys, engine: str, step: str, layers: int, guess_s: float) -> float:
        measured = self.of_any_width(keys, f"{engine} {step}")
        if measured is not None:
            return measured
        # A stack's program costs the same with widths left open.
        names = [f"{name} {step}" for name in (_STACKS if engine in _STACKS else (engine,))]
        alike = (self.of_any_width(keys, name) for name in names)
        each = [
            values[name] / values["layers"]
            for values in self._measured.values()
            for name in names
            if {name, "layers"} <= values.keys()
        ]
        estimate = layers * (median(each) if each else guess_s)
        return next((seconds for seconds in alike if seconds is not None), estimate)

    def tracing(
        self, store: ProgramStore | None, engine: str, keys: Keys, layers: int
    ) -> Tracing | None:
        """The lock of the engine's program while it is traced; None without a store."""
        if store is None:
            return None
        lock = store.tracing(engine, _of_program(keys, engine) or "")
        return Tracing(lock, self.once_s(keys, engine, layers, can_read=False))

    def _write(self) -> None:
        """Merge into the file. Of two children that write at once one may lose its measurements."""
        merged = {**(read_json(self._path) or {}), **self._measured}
        write_json(self._path, dict(list(merged.items())[-_MAX_KEYS:]))


def _of_program(keys: Keys, engine: str) -> str | None:
    """The one of the keys under which the engine's program is."""
    return keys[1] if engine == OPEN else keys[0]


def _short(key: str) -> str:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    parts = (key, tf.__version__, platform.node(), os.cpu_count(), threads)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
