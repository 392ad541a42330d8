"""A worker service at work: it registers, takes messages and gives them to its children."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Sequence

from celery import Celery, signals
from celery.exceptions import SecurityWarning

from fitfleet import probes
from fitfleet.db.accounts import keys, tokens
from fitfleet.db.actor import Scope
from fitfleet.db.fleet import storage_marker, workers
from fitfleet.db.outages import OUTAGE_POLL_S
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.spec.versions import of_fits
from fitfleet.worker.process import device, gpus, tasks, transport
from fitfleet.worker.process.draining import Drain
from fitfleet.worker.process.fork_server import ForkServer
from fitfleet.worker.process.host_load import LoadMeter
from fitfleet.worker.process.idle_limit import IdleLimit
from fitfleet.worker.process.labels import device_bytes, queues_of, service_labels
from fitfleet.worker.process.messages import refused
from fitfleet.worker.process.readiness import WarmChildren, outage
from fitfleet.worker.process.replacement import task_pool

_log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    cards: Sequence[gpus.Gpu],
    app: Celery,
    server: ForkServer | None,
    metrics: str | None,
    exit_when_idle_s: float,
) -> int:
    """Serve until told to stop: the exit code. Raises as `run_service` does."""
    database = Database(settings.database_url)
    database.check_schema()
    storage_marker.mark(database, settings)
    name = tasks.service_name(settings.queue)
    presence = _Registration(settings, name, cards, IdleLimit(exit_when_idle_s))
    drain = Drain(settings)
    presence.start(database)
    transport.install(_message_key(database, settings))
    database.dispose()  # connections must not cross the fork
    app.conf.update(
        worker_redirect_stdouts=False,  # a job's output is captured at the descriptors
        worker_max_memory_per_child=max(1, settings.child_growth_bytes // 1024),  # see tasks
        worker_hijack_root_logger=False,
    )
    # Celery warns of root because of pickles, which no message of ours may be.
    warnings.simplefilter("ignore", SecurityWarning)
    app.steps["consumer"].update({WarmChildren, transport.ControlCounter})
    if server is None:
        signals.worker_ready.connect(lambda **_: presence.run(), weak=False)
    if metrics is not None:
        signals.worker_ready.connect(lambda **_: presence.serve(metrics), weak=False)
    signals.worker_shutting_down.connect(lambda **_: drain.start(), weak=False)
    worker = app.Worker(
        hostname=name,
        concurrency=settings.slots,
        pool=task_pool(has_gpus=bool(settings.gpus), server=server, is_early=len(cards) < 2),
        queues=queues_of(settings, presence.labels, name, len(cards)),
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        optimization="fair",
        quiet=True,
    )
    if server is not None:
        presence.run()  # the pool waits for the import, which may take a while
    try:
        worker.start()
    finally:
        drain.finish()
        presence.stop()
        _log.info("worker ended")
    return int(worker.exitcode or tasks.has_failed())


def _message_key(database: Database, settings: Settings) -> bytes:
    """The key that signs messages. AccessError if this worker's token lacks the scope `work`."""
    with database.read() as c:
        if settings.token:
            tokens.admit(c, settings.token, Scope.WORK)
        return keys.message_key(c, settings)


# Held while the service has the database open, and taken by every fork. A child that is forked
# while its parent holds a SQLite lock inherits SQLite's memory of that lock, and waits for ever
# for a transaction that is not its own.
_database_open = threading.Lock()

# A service hangs when its heartbeat is overdue by this factor.
_SILENT_BEATS = 15


class _Registration:
    """Registers this service in the database, and sends heartbeats until it is to drain."""

    def __init__(
        self, settings: Settings, service: str, cards: Sequence[gpus.Gpu], idle: IdleLimit
    ) -> None:
        self._settings = settings
        self._idle = idle
        self._service = service
        self._devices = [f"gpu{gpu.index}" for gpu in cards] or ["cpu"]  # slots take them in turn
        self.labels = service_labels(settings, cards)
        self._device_bytes = device_bytes(settings, cards)
        self.names: list[str] = []  # of its slots, since `start`
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._meter = LoadMeter(settings.gpus)
        self._database = Database(settings.database_url)
        self._beaten_at = time.monotonic()

    def start(self, database: Database) -> None:
        """Register the slots. Without a thread yet: the pool forks after this."""
        with database.begin() as c:
            self.names = workers.register(c, self._slots())
        queue, names = self._settings.queue, ", ".join(self.names)
        _log.info("serving queue %s with %s; labels %s", queue, names, self.labels)

    def run(self) -> None:
        """Begin the heartbeat, once the children are there."""
        os.register_at_fork(
            before=_database_open.acquire,
            after_in_parent=_database_open.release,
            after_in_child=self._forget_connection,
        )
        self._thread = threading.Thread(target=self._send_heartbeat, name="presence", daemon=True)
        self._thread.start()

    def serve(self, address: str) -> int:
        """Serve /healthz, /readyz and /metrics at `host:port`; the port. None asks the database."""

        def is_alive() -> bool:
            return time.monotonic() - self._beaten_at < _SILENT_BEATS * self._settings.heartbeat_s

        def metrics() -> tuple[int, str, str]:
            ready, slots = float(not outage), float(self._settings.slots)
            text = probes.family(
                "fitfleet_worker_ready", "gauge", "Whether the database answers.", [({}, ready)]
            )
            text += probes.family(
                "fitfleet_worker_slots", "gauge", "Jobs that it runs at once.", [({}, slots)]
            )
            text += probes.family(
                "fitfleet_worker_refused_messages_total",
                "counter",
                "Messages of the broker that are not of this fleet, by reason.",
                [({"reason": reason}, count) for reason, count in sorted(refused.items())],
            )
            return 200, probes.METRICS, text

        return probes.serve(
            address,
            {
                "/metrics": metrics,
                "/healthz": probes.health(is_alive, "its heartbeat has stopped"),
                "/readyz": probes.health(lambda: not outage, "the database is away"),
            },
        )

    def _forget_connection(self) -> None:
        """In a child: it is the parent's, which keeps using it."""
        self._database.engine.dispose(close=False)
        _database_open.release()

    def stop(self) -> None:
        """Record that the service has ended."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        try:
            with Database(self._settings.database_url).begin() as c:
                workers.end(c, self._service)
        except DatabaseError:
            pass  # its heartbeat will be missed

    def _slots(self) -> list[workers.Slot]:
        return [
            workers.Slot(
                id=tasks.slot_id(os.getpid(), index),
                service=self._service,
                host=socket.gethostname(),
                pid=os.getpid(),
                slot=index,
                queue=self._settings.queue,
                device=device.name_of(self._settings.gpus, index),
                versions=of_fits(),
                labels=self.labels,
                device_bytes=self._device_bytes[index],
                label=self._devices[index % len(self._devices)],
            )
            for index in range(self._settings.slots)
        ]

    def _send_heartbeat(self) -> None:
        self._beaten_at = time.monotonic()
        while not self._ended.wait(min(OUTAGE_POLL_S, self._settings.heartbeat_s)):
            is_due = time.monotonic() - self._beaten_at >= self._settings.heartbeat_s
            if not (is_due or outage):
                continue
            self._beaten_at = time.monotonic()
            if reason := self._reason_to_end():
                _log.info(reason)
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def _reason_to_end(self) -> str | None:
        if self._is_to_drain():
            return "asked to drain"
        return f"no job for {self._idle.limit_s:g} s" if self._idle.is_over() else None

    def _is_to_drain(self) -> bool:
        """One heartbeat. No SQLite file is left open: the next child may be forked any time."""
        database = self._database
        load = self._meter.read()
        with _database_open:
            try:
                with database.begin() as c:
                    is_to_drain = workers.heartbeat(c, self._service, load)
            except DatabaseError as error:
                if not outage:
                    _log.error("not taking jobs while the database is unreachable: %s", error)
                outage.begin()
                return False
            else:
                if outage:
                    _log.warning("the database is reachable again; taking jobs")
                outage.end()
                return is_to_drain
            finally:
                if database.is_sqlite:
                    database.dispose()
