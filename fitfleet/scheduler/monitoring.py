"""The pages of a scheduler: /metrics, /healthz, /readyz."""

from __future__ import annotations

import time

from fitfleet import probes
from fitfleet.db.session import Database
from fitfleet.scheduler.exposition import Exposition
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings

# A scheduler hangs when its last poll is older than this; an outage delays a poll by seconds.
_HANGS_S = 120.0
_READY_S = 15.0


def serve(address: str, settings: Settings, database: Database, scheduler: Scheduler) -> int:
    """Serve them at `host:port`; the port. SettingsError if that is taken."""
    exposition, began_at = Exposition(settings, database), time.time()

    def metrics() -> tuple[int, str, str]:
        exposition.polled_at = scheduler.polled_at
        return 200, probes.METRICS, exposition.page()

    def is_alive() -> bool:
        return time.time() - max(began_at, scheduler.turned_at) < _HANGS_S

    def is_ready() -> bool:
        return time.time() - scheduler.polled_at < _READY_S

    return probes.serve(
        address,
        {
            "/metrics": metrics,
            "/healthz": probes.health(is_alive, "the scheduler's loop does not run"),
            "/readyz": probes.health(is_ready, "database or broker is away"),
        },
    )
