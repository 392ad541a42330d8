"""The Celery task, and the state of the prefork child that runs it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.sharedctypes import RawValue
from typing import Any

from billiard.pool import EX_RECYCLE
from celery import Celery, signals
from celery.exceptions import WorkerShutdown
from celery.worker import state

from fitfleet.errors import FitfleetError
from fitfleet.queue import TASK
from fitfleet.settings import Settings
from fitfleet.worker.process import temporary_files
from fitfleet.worker.process.fork_server import ForkServer
from fitfleet.worker.process.forked_process import run_child
from fitfleet.worker.process.readiness import outage
from fitfleet.worker.process.standby import FirstJob, wait_while_reserved

_child: Any = None
_failed: Any = None  # shared with the children: 1 once one of them could not start
# Two containers may have one host name and one process number; forks have their service's token.
_TOKEN = secrets.token_hex(2)


def service_name(queue: str) -> str:
    """The name of the service of this process in the database, unlike that of any other."""
    return f"{queue}-{os.getpid()}-{_TOKEN}@{socket.gethostname()}"


def install(app: Celery, settings: Settings) -> None:
    """Register the task, and what a child does when it starts. TensorFlow stays out of here."""
    global _failed
    _failed = RawValue("b", 0)

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def run(*message: Any, **_: Any) -> None:
        # Anyone who can write to the broker can send anything; what is no message does nothing.
        if len(message) == 2 and all(type(n) is int and 0 <= n < 2**63 for n in message):
            _child.run(*message)

    def start(**_: Any) -> None:
        global _child
        with _ending_service():
            temporary_files.use_child_directory()
            first_job = _first_job(settings)
            _child = start_child(settings, first_job.devices if first_job is not None else ())
        if first_job is not None:
            _run_and_exit(first_job.job_id)
        _replace_when_grown(_child, settings.child_growth_bytes)
        signal.signal(signal.SIGUSR2, drain)

    signals.worker_process_init.connect(start, weak=False)


def _first_job(settings: Settings) -> FirstJob | None:
    """What this child runs first, after waiting while its slot is reserved."""
    from fitfleet.worker.process import device

    is_one_of_several = device.count(settings.gpus) > 1
    return (
        wait_while_reserved(settings, slot_id(os.getppid(), _index()))
        if is_one_of_several
        else None
    )


def _run_and_exit(job_id: int) -> None:
    """Run the job and exit: the process has used other GPUs than its slot's.

    SIGUSR2 drains it, as any child.
    """
    signal.signal(signal.SIGUSR2, drain)
    try:
        _child.run_reserved(job_id)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EX_RECYCLE)


@contextmanager
def _ending_service() -> Iterator[None]:
    """Let an error in a process of the service end both.

    Celery would only log it, and the child would lose one job after another.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, FitfleetError):
            print(error, file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        _failed.value = 1
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(1)


def fork_server(settings: Settings) -> ForkServer | None:
    """What forks the children of this service; None where the service must do it itself."""
    if settings.gpus or not ForkServer.is_supported():
        return None

    def warm() -> None:
        with _ending_service():
            _preload(settings)

    return ForkServer(warm, run_child, _check_end)


def _preload(settings: Settings) -> None:
    """Import what the children need. TensorFlow runs nothing here: its threads would be lost."""
    from fitfleet.worker.process import device

    device.assign(settings.gpus, 0)
    device.load(has_own_code=bool(settings.trusted_modules))

    import fitfleet.storage
    import fitfleet.worker.engines.choice
    import fitfleet.worker.run  # noqa: F401


def _check_end() -> None:
    """Raise what ends a Celery worker, once this service is to end."""
    if has_failed():
        raise WorkerShutdown(1)
    state.maybe_shutdown()


def has_failed() -> bool:
    """Whether a child of this service could not start."""
    return bool(_failed is not None and _failed.value)


def _index() -> int:
    """The slot of this child."""
    from billiard import current_process

    return int(getattr(current_process(), "index", 0) or 0)


def start_child(settings: Settings, devices: Sequence[str] = ()) -> Any:
    """What a child needs, TensorFlow imported; runs after the fork.

    `devices`, as the records name them, for a job on several GPUs; else it has that of its slot.
    """
    from fitfleet.worker.process import device

    index = _index()
    name = device.assign_all(devices) if devices else device.assign(settings.gpus, index)
    device.load(has_own_code=bool(settings.trusted_modules))
    device.configure(settings.threads, max(1, len(devices)))

    from fitfleet.db.session import Database
    from fitfleet.storage import Storage
    from fitfleet.worker.engines.choice import Engines
    from fitfleet.worker.process.memory import limit_memory
    from fitfleet.worker.process.memory_meter import meter_of
    from fitfleet.worker.recording.metrics import Recorder
    from fitfleet.worker.run import Child

    limit_memory(settings.memory_limit_bytes)
    database = Database(settings.database_url)
    return Child(
        settings=settings,
        database=database,
        worker=slot_id(os.getppid(), index),
        device=name,
        storage=Storage.of(settings),
        recorder=Recorder(database, settings.logs),
        engines=Engines(settings, replicas=max(1, len(devices))),
        meter=meter_of(
            name,
            left_bytes=settings.min_free_gpu_bytes,
            is_shared=settings.slots > device.count(settings.gpus),
        ),
        may_be_kept=device.count(settings.gpus) > 1,
        on_outage=outage.begin,
    )


def slot_id(service_pid: int, index: int) -> str:
    """The name of a slot in the database: host:pid:slot:token."""
    return f"{socket.gethostname()}:{service_pid}:{index}:{_TOKEN}"


def drain(*_: Any) -> None:
    """SIGUSR2 in a child: finish the epoch if it ends soon, checkpoint, release, take no more.

    One that runs nothing ends at once: to take TensorFlow down in order takes a second, and leaves
    nothing else behind. A message that arrives now is published again.
    """
    if _child is None:
        return
    _child.drain()
    if not _child.is_running:
        os._exit(0)


def _replace_when_grown(child: Any, growth_bytes: int) -> None:
    """Let billiard replace this child after a job when it has grown, or ran out of memory.

    billiard asks its `mem_rss` after every task, and with `worker_max_memory_per_child` replaces
    a child in a way that loses no message; but it measures the peak, TensorFlow included.
    """
    from billiard import pool

    from fitfleet.worker.process.memory import held_bytes

    start_bytes = held_bytes()

    def grown_kb() -> int:
        if child.is_spent:
            return growth_bytes // 1024 + 1
        if not child.has_trained:
            # It has only met an outdated message. Replaced, it would meet the next one too late.
            return 1
        return max(1, (held_bytes() - start_bytes) // 1024)

    pool.mem_rss = grown_kb
