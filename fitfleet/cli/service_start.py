"""How commands start services: settings out of options, a worker, the API beside a scheduler."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.cli.command import say
from fitfleet.errors import SettingsError
from fitfleet.spec.sizes import size_bytes
from fitfleet.text import duration_s

if TYPE_CHECKING:
    from fitfleet.settings import Settings


def limit_s(option: str, text: str | None) -> float:
    """A duration in seconds; infinite where the option was not given."""
    seconds = math.inf if text is None else duration_s(text)
    if seconds is None:
        raise SettingsError(f"{option}: {text!r} is not a duration such as 120, 90s, 30m or 1h")
    return seconds


def sizes(min_free_gpu: str | None, memory_limit: str | None) -> dict[str, int | None]:
    """The settings of these options, in bytes. SettingsError for what is no size."""
    return {
        "min_free_gpu_bytes": _bytes("--min-free-gpu", min_free_gpu),
        "memory_limit_bytes": _bytes("--memory-limit", memory_limit),
    }


def _bytes(option: str, text: str | None) -> int | None:
    count = None if text is None else size_bytes(text) or size_bytes(f"{text}B")
    if text is not None and count is None:
        raise SettingsError(f"{option}: {text!r} is not a size such as 4G or 512MiB")
    return count


def changed(settings: Settings, **changes: Any) -> Settings:
    """The settings with those options that were given."""
    return settings.replace(**{name: value for name, value in changes.items() if value is not None})


def serve_worker(
    settings: Settings,
    metrics: str | None,
    idle_s: float,
    settle: Callable[[Settings], Settings] = lambda settings: settings,
) -> int:
    """Say what starts, and serve a queue until told to stop; the exit code.

    `settle` is called while TensorFlow is imported; what it raises ends the worker.
    """
    from fitfleet.service_log import log_start
    from fitfleet.worker.process.service import run_service

    log_start("worker", settings)
    return run_service(settings, metrics, idle_s, settle)


def serve_api(settings: Settings, address: str, certificate: Path | None, key: Path | None) -> None:
    """In a thread that ends with the process."""
    from fitfleet.api.serve import ApiServer, Options
    from fitfleet.client.fleet import Fleet
    from fitfleet.db.session import Database

    # Connections of its own: no number of requests makes the scheduler wait for one.
    fleet = Fleet(settings, Database(settings.database_url))
    server = ApiServer(fleet, Options(address, certificate, key)).start()
    for line in server.told():
        say(line)
