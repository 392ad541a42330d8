"""Seconds by phase of one thread, for `phases.py`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Stopwatch:
    """Every moment belongs to one phase: while an inner one runs, the outer one stands."""

    def __init__(self) -> None:
        self._phase, self._at = "other", time.perf_counter()
        self._seconds: dict[str, float] = {}
        self.before_fit_s: float | None = None  # until the first trace or step, without building

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """What happens inside belongs to `phase`."""
        before = self._phase
        self.enter(phase)
        try:
            yield
        finally:
            self.enter(before)

    def enter(self, phase: str) -> None:
        """From now on it is `phase`."""
        now = time.perf_counter()
        self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._at
        self._phase, self._at = phase, now
        if self.before_fit_s is None and phase in ("trace", "steps"):
            self.before_fit_s = sum(s for of, s in self._seconds.items() if of != "build")

    def take(self) -> dict[str, float]:
        """What has been spent since the last call, by phase."""
        self.enter(self._phase)
        seconds, self._seconds = self._seconds, {}
        self.before_fit_s = None
        return seconds

    def watch(self, owner: Any, name: str, phase: str) -> None:
        """Let every call of `owner.name` belong to a phase."""
        inner: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.during(phase):
                return inner(*args, **kwargs)

        setattr(owner, name, timed)
