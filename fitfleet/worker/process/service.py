"""A worker service: a Celery prefork worker whose children fit jobs, one per slot."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

from celery import signals

from fitfleet.queue import celery_app, use_broker
from fitfleet.settings import Settings
from fitfleet.worker.process import gpus, tasks, temporary_files


def run_service(
    settings: Settings,
    metrics: str | None = None,
    exit_when_idle_s: float = math.inf,
    settle: Callable[[Settings], Settings] = lambda settings: settings,
) -> int:
    """Serve a queue until SIGTERM or `exit_when_idle_s` without a job, then drain; the exit code.

    TensorFlow is imported by its fork server and its children only. While that import goes on,
    `settle` gives the settings, in which the broker's URL may be another; what it raises ends the
    service before it registers.
    DatabaseError if the database is away or not of this version, SettingsError if this host lacks
    a GPU that `gpus` names, StorageError if the storage is another than the fleet's, or an object
    store that refuses.
    """
    settings, cards = _with_gpus(settings)
    with temporary_files.service_directory():
        app = celery_app(settings)
        tasks.install(app, settings)
        signals.setup_logging.connect(_keep_logging, weak=False)
        server = tasks.fork_server(settings)
        if server is not None:
            server.start()  # it imports while the rest is made ready
        try:
            settings = settle(settings)
            use_broker(app, settings)
        except BaseException:
            if server is not None:
                server.close()
            raise
        # What the children do not need is imported beside TensorFlow, not before it.
        from fitfleet.worker.process.serving import serve

        return serve(settings, cards, app, server, metrics, exit_when_idle_s)


def _keep_logging(**_: Any) -> None:
    """Connect a receiver, since Celery configures logging unless its signal has one."""


def _with_gpus(settings: Settings) -> tuple[Settings, list[gpus.Gpu]]:
    """`gpus` as UUIDs, which no reordering changes, and at least a slot for each of them.

    With them the GPUs, which slots take in turn.
    """
    if not settings.gpus.strip():
        return settings, []
    chosen = gpus.chosen_gpus(settings.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    names = ",".join(gpu.uuid for gpu in chosen)
    return settings.replace(gpus=names, slots=max(settings.slots, len(chosen))), chosen
