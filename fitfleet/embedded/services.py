"""The worker services of an embedded fleet: processes that are started, watched and ended here."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fitfleet.embedded.broker import Broker
from fitfleet.errors import BrokerError, DatabaseError, FitfleetError
from fitfleet.settings import Settings

if TYPE_CHECKING:  # its import takes longer than the start of the services
    from fitfleet.db.session import Database

_log = logging.getLogger(__name__)
_POLL_S = 0.3
# A service that ends sooner than this after its start did not get going.
_START_S = 60.0
_START_FAILURES = 3
# Time after the drain for Python and TensorFlow to end.
_END_S = 8.0


@dataclass
class _Service:
    number: int
    slots: int
    process: subprocess.Popen[bytes]
    started_at: float = field(default_factory=time.monotonic)
    failed_starts: int = 0


class Services:
    """Worker services, as many slots each as the settings say, and the broker that they hear.

    They are started first and begin when database and broker are there. What dies of these is then
    started again. They end when told to, and by themselves when this process is gone, however it
    went.
    """

    def __init__(self, settings: Settings, broker: Broker) -> None:
        self._settings = settings
        self._broker = broker
        self._database: Database  # since `begin`
        self._logs = Path(settings.logs)
        self._services: list[_Service] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem: str | None = None

    def start(self, workers: int) -> None:
        """Start services with this many slots, which import what they need and wait for `begin`."""
        of_each = self._settings.slots
        for number, first in enumerate(range(0, workers, of_each), 1):
            slots = min(of_each, workers - first)
            self._services.append(_Service(number, slots, self._spawn(number, slots)))

    def begin(self, database: Database) -> None:
        """Let the services take jobs, and watch them. Database and broker must be there."""
        self._database = database
        self._requeue_predecessors()
        for service in self._services:
            self._tell_broker(service.process)
        self._thread = threading.Thread(target=self._watch, name="fitfleet-services", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """FitfleetError if the workers cannot be started."""
        if self._problem is not None:
            raise FitfleetError(self._problem)

    @property
    def pids(self) -> list[int]:
        """Process ids of the services that are up."""
        with self._lock:
            return [s.process.pid for s in self._services if s.process.poll() is None]

    def stop(self, drain_s: float) -> None:
        """Drain all services, and kill those that are still there after the drain's time.

        An exception meanwhile, such as a second Ctrl-C, kills them at once.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            for service in self._services:
                _signal(service, signal.SIGTERM)
            deadline = time.monotonic() + drain_s + _END_S
            for service in self._services:
                with suppress(subprocess.TimeoutExpired):
                    service.process.wait(max(deadline - time.monotonic(), 0.01))
        finally:
            for service in self._services:
                _kill_group(service)

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_S):
            self._revive_broker()
            for service in self._services:
                if service.process.poll() is not None:
                    self._replace(service)

    def _revive_broker(self) -> None:
        try:
            if self._broker.revive():
                _log.warning("the broker died and was restarted")
        except (BrokerError, OSError) as error:
            _log.error("the broker died and cannot be restarted: %s", error)

    def _requeue_predecessors(self) -> None:
        """Requeue the jobs of services that a killed script left in this directory."""
        from fitfleet.db.scheduling import recovery

        with self._database.read() as c:
            pids = recovery.open_services(c, socket.gethostname())
        for pid in pids:
            if not _is_alive(pid):
                self._requeue(pid)

    def _requeue(self, pid: int) -> None:
        from fitfleet.db.scheduling import recovery

        # Without the database the leases will expire.
        with suppress(DatabaseError), self._database.begin() as c:
            recovery.requeue_dead_service(c, socket.gethostname(), pid, self._settings.backoff_s)

    def _replace(self, service: _Service) -> None:
        _kill_group(service)
        self._requeue(service.process.pid)
        is_young = time.monotonic() - service.started_at < _START_S
        # One that was killed by a signal had started well enough.
        has_failed = is_young and service.process.returncode >= 0
        service.failed_starts = service.failed_starts + 1 if has_failed else 0
        if service.failed_starts >= _START_FAILURES:
            self._problem = self._start_problem(service)
            return
        # Slower each time, so that a broken installation does not keep the machine busy.
        if service.failed_starts and self._stop.wait(service.failed_starts * 0.5):
            return
        with self._lock:
            service.process = self._spawn(service.number, service.slots)
            self._tell_broker(service.process)
            service.started_at = time.monotonic()

    def _spawn(self, number: int, slots: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self._settings.replace(slots=slots).to_environment()}
        command = [sys.executable, "-m", "fitfleet.embedded.worker_process", str(os.getpid())]
        command.append(str(self._broker.folder))
        with self._log_path(number).open("ab") as log:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal goes to the script alone, which then drains them.
                start_new_session=True,
            )

    def _tell_broker(self, process: subprocess.Popen[bytes]) -> None:
        """The line for which a service waits: the URL, which is known when the broker is up."""
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin:  # one that has died will be replaced
            process.stdin.write(f"{self._broker.url}\n".encode())

    def _log_path(self, number: int) -> Path:
        return self._logs / f"worker-{number}-of-{os.getpid()}.log"

    def _start_problem(self, service: _Service) -> str:
        path = self._log_path(service.number)
        lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
        last = lines[-1] if lines else "it printed nothing"
        return (
            f"worker {service.number} ended {_START_FAILURES} times right after its start: {last};"
            f" its log is {path}, and `fitfleet doctor` checks the installation"
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _signal(service: _Service, number: int) -> None:
    if service.process.poll() is None:
        with suppress(ProcessLookupError):
            service.process.send_signal(number)


def _kill_group(service: _Service) -> None:
    """End the service with its children, which are in its process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()
    if service.process.stdin is not None:  # open still, where the broker did not start
        service.process.stdin.close()
