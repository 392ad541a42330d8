"""When an attempt did what: kept by its worker, for the trace of its job (scheduler/spans)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

_EPOCHS = 64  # most epochs that are kept, evenly spread


class Timeline:
    """Phases of an attempt and ends of its epochs, in seconds since the attempt began.

    It is written by the training thread, and may be read from any.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._phases: dict[str, tuple[float, float | None]] = {}
        self._epochs: list[tuple[int, float]] = []
        self._stride = 1

    def begin(self) -> None:
        """The attempt begins now; earlier phases are dropped."""
        self._began = time.monotonic()
        self._phases, self._epochs = {}, []

    def start(self, name: str) -> None:
        """A phase begins; it lasts until `end`, or else until the attempt's end is written."""
        self._phases[name] = (self._now(), None)

    def end(self, name: str) -> None:
        """The phase is over now; of several calls the last counts."""
        if name in self._phases:
            self._phases[name] = (self._phases[name][0], self._now())

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What is done inside."""
        self.start(name)
        yield
        self.end(name)

    def epoch(self, number: int) -> None:
        """An epoch, counted from 1, has ended; so has, for all that is known, the training."""
        at = self._now()
        if "train" in self._phases:
            self._phases["train"] = (self._phases["train"][0], at)
        if number % self._stride == 0:
            self._epochs.append((number, at))
        if len(self._epochs) > _EPOCHS:
            self._stride *= 2
            self._epochs = [pair for pair in self._epochs if pair[0] % self._stride == 0]

    def to_json(self) -> str:
        """JSON object: name of a phase -> [start, end], and `epochs`: [number, end] each."""
        at = self._now()
        document: dict[str, object] = {
            name: [round(start, 4), round(at if end is None else end, 4)]
            for name, (start, end) in dict(self._phases).items()
        }
        document["epochs"] = [[number, round(end, 4)] for number, end in list(self._epochs)]
        return json.dumps(document, separators=(",", ":"))

    def _now(self) -> float:
        return time.monotonic() - self._began
