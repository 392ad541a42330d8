"""A pool that replaces grown children: the next one is warm before a grown one leaves.

Celery replaces a child that has grown after its exit, and the slot is then idle while the new
one imports TensorFlow. Here the pool starts the new one early, keeps it from jobs until the old
one has ended its own, and then swaps them. At any time one child of a slot
takes messages. A child that exits without a warning is replaced as Celery does it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import Any

from billiard.pool import RUN
from billiard.sharedctypes import RawValue
from celery import current_app
from celery.app.trace import setup_worker_optimizations
from celery.concurrency import asynpool, prefork
from celery.worker import state

from fitfleet.worker.process.fork_server import ForkServer
from fitfleet.worker.process.forked_process import process_class
from fitfleet.worker.process.memory import held_bytes

# Of the growth at which a child leaves by itself: what is left is for the jobs that it still runs
# while its replacement starts.
_NEARLY = 0.7
# A message of a child to its pool, beside those of billiard and Celery.
_STANDBY = 100

_here: Any = None  # in a child: its worker


def announce_standby() -> None:
    """In a starting child: disable the pool's start timeout for it."""
    if _here is not None:
        _here.outq.put((_STANDBY, (os.getpid(),)))


def task_pool(
    has_gpus: bool, server: ForkServer | None = None, *, is_early: bool = True
) -> type[prefork.TaskPool]:
    """Celery's prefork pool, with replacements. Children are forked by `server`, or else here.

    Not `is_early`: a replacement is started when the old child has left, as for slots that may be
    kept, whose fresh child stands for no other being there.
    """

    class TaskPool(prefork.TaskPool):  # type: ignore[misc]
        Pool = staticmethod(partial(_Pool, has_gpus=has_gpus, server=server, is_early=is_early))
        _pool: Any

        def on_stop(self) -> None:
            """As Celery's, which takes half a second at least, for timers that tasks may need."""
            if state.active_requests or state.reserved_requests:
                super().on_stop()
                return
            self._pool.close()
            self._pool.join()
            self._pool = None

    return TaskPool


class _Retire:
    """Retires a child before its next message. Without a lock, which a killed child might hold."""

    def __init__(self, flag: Any = None) -> None:
        self._flag = RawValue("b", 0) if flag is None else flag

    def __reduce__(self) -> Any:
        return _Retire, (self._flag,)

    def set(self) -> None:
        self._flag.value = 1

    def is_set(self) -> bool:
        return bool(self._flag.value)


class _Worker(asynpool.Worker):  # type: ignore[misc]
    """What runs in a child; billiard looks at `_shutdown` before each message."""

    def __init__(self, *args: Any, retire: _Retire | None = None, **options: Any) -> None:
        self.retire = retire or _Retire()
        super().__init__(*args, **options)
        self._shutdown = self.retire

    def after_fork(self) -> None:
        """Called first in the child."""
        global _here
        _here = self
        super().after_fork()

    def __reduce__(self) -> Any:
        """For the fork server, which has the application already.

        The counter goes without its lock, which cannot be sent: a child only reads it.
        """
        sent = dict.fromkeys(("inq", "outq", "initializer", "maxtasks", "on_exit", "sigprotection"))
        sent |= dict.fromkeys(("wrap_exception", "max_memory_per_child", "retire"))
        sent = {name: getattr(self, name) for name in sent}
        sent |= {"hostname": self.initargs[1], "counter": self.on_ready_counter.get_obj()}
        return _received_worker, (sent, self.inqW_fd)

    def contribute_to_object(self, obj: Any) -> Any:
        """Give the parent's view of this process what it needs."""
        obj.retire = self.retire
        return super().contribute_to_object(obj)


def _received_worker(sent: dict[str, Any], descriptor: int) -> _Worker:
    """In the child: what `_Worker.__reduce__` has sent.

    The pool knows a child by the descriptor of its queue in the service.
    """
    hostname, counter = sent.pop("hostname"), sent.pop("counter")
    setup_worker_optimizations(current_app, hostname)  # the service did so after the server's fork
    worker = _Worker(initargs=(current_app, hostname), on_ready_counter=counter, **sent)
    worker.inqW_fd = descriptor
    return worker


class _Pool(asynpool.AsynPool):  # type: ignore[misc]
    """`index` of a child is its slot; a replacement has the same."""

    Worker = _Worker

    def __init__(
        self,
        *args: Any,
        has_gpus: bool,
        server: ForkServer | None,
        is_early: bool = True,
        **options: Any,
    ) -> None:
        self._has_gpus = has_gpus
        self._is_early = is_early
        self._forked_process = None if server is None else process_class(server)
        self._held: dict[int, Any] = {}  # warm replacements by slot, until the old one leaves
        super().__init__(*args, **options)
        self._result_handler.state_handlers[_STANDBY] = self._cancel_start_timeout

    def _cancel_start_timeout(self, pid: int) -> None:
        """Celery would kill a child that has not started in time."""
        waiting = {process for process in self._waiting_to_start if process.pid == pid}
        self._waiting_to_start.difference_update(waiting)

    def Process(self, *args: Any, **options: Any) -> Any:
        """A child that is not started yet."""
        if self._forked_process is None:
            return super().Process(*args, **options)
        return self._forked_process(*args, **options)

    def on_job_ready(self, job: Any, i: Any, obj: Any, inqW_fd: int) -> None:
        """A child has ended a job: swap, or start a replacement."""
        super().on_job_ready(job, i, obj, inqW_fd)
        child = self._fileno_to_inq.get(inqW_fd)
        if child is None or self._state != RUN:
            return
        if child.index in self._held:
            self._swap(child)
        elif self._is_early and self._other(child) is None and self._is_nearly_grown(child):
            self._start_replacement(child.index)

    def on_process_alive(self, pid: int) -> None:
        """A child is warm. A replacement takes no message before the old one has ended its own."""
        child = next((process for process in self._pool if process.pid == pid), None)
        old = child and self._other(child)
        if child is not None:
            child.warm_bytes = held_bytes(pid)
        if child is None or old is None:
            super().on_process_alive(pid)
            return
        self._waiting_to_start.discard(child)
        self._held[child.index] = child
        if old.inqW_fd not in self._busy_workers | self._active_writes:
            self._swap(old)

    def _swap(self, old: Any) -> None:
        """Send no more messages to the old child, which has none now, and let it exit."""
        self._all_inqueues.discard(old.inqW_fd)
        old.retire.set()
        with suppress(OSError):  # gone, or it has something to read anyway
            old.inq._writer.send(())  # wakes it; a message that is empty is passed over
        if not self._has_gpus:  # else it must free the GPU's memory first
            self._serve(old.index)

    def _serve(self, slot: int) -> None:
        super().on_process_alive(self._held.pop(slot).pid)

    def _maintain_pool(self) -> None:
        """Called when a child has exited: its replacement may be waiting, or be the one."""
        super()._maintain_pool()
        for slot, child in list(self._held.items()):
            if child not in self._pool:
                del self._held[slot]
            elif self._other(child) is None:
                self._serve(slot)

    def _repopulate_pool(self, exitcodes: Any) -> None:
        """Two children of one slot do not make up for the missing one of another.

        No child is started while the service ends.
        """
        if state.should_stop is not None or state.should_terminate is not None:
            return
        doubled = len(self._pool) - len({child.index for child in self._pool})
        self._processes += doubled
        try:
            super()._repopulate_pool(exitcodes)
        finally:
            self._processes -= doubled

    def _start_replacement(self, slot: int) -> None:
        count = len(self._pool)
        try:
            if None not in self._queues.values():
                self._queues[self.create_process_queues()] = None
            self._create_worker_process(slot)
        except OSError:  # no memory or process left for it: the old one will be replaced later
            for child in self._pool[count:]:
                self._queues[self._find_worker_queues(child)] = None
            del self._pool[count:]

    def _other(self, child: Any) -> Any:
        """The other child of the same slot, if there are two."""
        others = (
            process
            for process in self._pool
            if process.index == child.index and process is not child
        )
        return next(others, None)

    def _is_nearly_grown(self, child: Any) -> bool:
        grown_bytes = held_bytes(child.pid) - child.warm_bytes
        return bool(grown_bytes > _NEARLY * 1024 * self._max_memory_per_child)
