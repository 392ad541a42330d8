"""Ends a worker service that has had nothing to do for a while, for fleets that grow and shrink."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fitfleet.worker.process.readiness import warmth


@dataclass
class IdleLimit:
    """How long a service may be without a job; infinite: for ever."""

    limit_s: float
    _busy_at: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        """Whether it is time to end; to be asked now and then, since work is seen only here.

        A service whose children still import TensorFlow can have none, and counts as busy.
        """
        if not warmth.has_child or _has_work():
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at >= self.limit_s


def _has_work() -> bool:
    """Whether Celery has given a task to a child, or holds one for it."""
    from celery.worker import state

    return bool(state.active_requests or state.reserved_requests)
