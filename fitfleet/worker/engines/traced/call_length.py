"""How many steps one call of a traced program takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# Cancels, heartbeats and progress are handled between calls, so a call should be this short.
_CALL_S = 0.5


class Pace:
    """Divides an epoch into calls of about half a second, by the measured time of a step."""

    def __init__(self) -> None:
        self._step_s: float | None = None

    def run(
        self, call: Callable[[int, int], int], steps: int, on_progress: Callable[[], None]
    ) -> int:
        """Call `call(first, last)`, which returns the steps done, until `steps` are done or a call
        ends early; the steps done."""
        first = 0
        while first < steps:
            last = min(steps, first + self._count())
            began = time.perf_counter()
            done = call(first, last)
            self._measure((time.perf_counter() - began) / (last - first))
            on_progress()
            if done < last:
                return done
            first = last
        return first

    def _measure(self, step_s: float) -> None:
        # The first call includes tracing, so the shortest time is that of a step.
        self._step_s = step_s if self._step_s is None else min(self._step_s, step_s)

    def _count(self) -> int:
        if self._step_s is None:
            return 1
        return math.ceil(_CALL_S / max(self._step_s, 1e-6))
