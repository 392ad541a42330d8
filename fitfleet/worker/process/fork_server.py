"""A process that imports TensorFlow once and forks the children of a worker service.

The import takes seconds and some 400 MB; a fork of it is warm after a tenth of a second and shares
most of the memory. The process runs no operation, so it has none of TensorFlow's threads, which do
not survive a fork. It is a child of the service, which stays free of TensorFlow.

Its children are made children of the service (Linux: the service is their subreaper for that
moment), so that the pool waits for them, and they for it, as for those that it forks itself. Not
for GPUs, which a process must open by itself, and not on other systems.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

# The name of the process, which distinguishes it from training processes in `ps`.
NAME = "fitfleet-forks"

_SET_PARENT_DEATH_SIGNAL, _SET_NAME, _SET_SUBREAPER = 1, 15, 36  # of prctl(2)
_MAX_BYTES, _MAX_DESCRIPTORS = 1 << 16, 64
_POLL_S = 0.1
_ADOPTION_S = 10.0

# Runs in a new child with what was sent and the descriptors; its result is the exit code.
Task = Callable[[bytes, list[int]], int]


class ForkServerError(OSError):
    """The forking process has died, and a second one too."""


class ForkServer:
    """The service's side: starts the process, and requests children from it."""

    def __init__(
        self,
        warm: Callable[[], None],
        run: Task,
        check: Callable[[], object] = lambda: None,
        answer_s: float = 300.0,
        still_s: tuple[float, float] = (60.0, 15.0),
    ) -> None:
        """`warm` imports, in the new process; `run` is a child. `check` raises to end a wait.

        A process that has not answered after `answer_s`, the import included, counts as dead; so
        does one without CPU time for `still_s` (while it imports, and later).
        """
        self._warm = warm
        self._run = run
        self._check = check
        self._answer_s = answer_s
        self._still_s = still_s
        self._is_warm = False  # after the first answer
        self._channel: socket.socket | None = None
        self.pid = 0

    @staticmethod
    def is_supported() -> bool:
        """Whether this system can give a child another parent."""
        return sys.platform == "linux"

    def start(self, unwanted: Sequence[int] = ()) -> None:
        """Start the process, which imports from now on, and closes the `unwanted` descriptors."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        service = os.getpid()
        self._is_warm = False
        self.pid = os.fork()
        if not self.pid:
            here.close()
            for descriptor in unwanted:
                os.close(descriptor)
            _serve(there, service, self._warm, self._run)
        there.close()
        self._channel = here

    def fork(self, payload: bytes, descriptors: list[int]) -> int:
        """The process id of a new child of this process, with copies of the descriptors.

        Waits for the import, if need be. A server that has died is started again, once:
        ForkServerError if that dies too.
        """
        for _ in range(2):
            with suppress(ConnectionError, BrokenPipeError):
                return self._request(payload, descriptors)
            self.close()
            self.start(descriptors)  # else it would hold open what is to tell of the child's end
        raise ForkServerError("the process that forks the children of this service does not answer")

    def _request(self, payload: bytes, descriptors: list[int]) -> int:
        assert self._channel is not None
        with _adopting():
            socket.send_fds(self._channel, [payload], descriptors)
            self._wait(self._channel)
            answer = self._channel.recv(_MAX_BYTES)
        self._check()
        if not answer:
            raise ConnectionResetError
        self._is_warm = True
        return int(answer)

    def _wait(self, channel: socket.socket) -> None:
        """Until there is an answer. ConnectionAbortedError when none will come.

        Looks are counted, not the clock: a service that was frozen itself has not waited.
        """
        still_s = self._still_s[self._is_warm]
        looks, moved_at, used = 0, 0, -1
        while not select.select([channel], [], [], _POLL_S)[0]:
            self._check()
            looks, before, used = looks + 1, used, _used_ticks(self.pid)
            if used != before:
                moved_at = looks
            if looks * _POLL_S > self._answer_s or (looks - moved_at) * _POLL_S > still_s:
                raise ConnectionAbortedError

    def close(self) -> None:
        """Kill the process. Its children continue."""
        if self._channel is None:
            return
        self._channel.close()
        self._channel = None
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _serve(channel: socket.socket, service: int, warm: Callable[[], None], run: Task) -> NoReturn:
    """The process itself: import, then fork children until the service is gone."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it ends with the service
        _prctl(_SET_NAME, NAME.encode())
        _die_with_parent(service)
        warm()
        while True:
            payload, descriptors, _, _ = socket.recv_fds(channel, _MAX_BYTES, _MAX_DESCRIPTORS)
            if not payload:
                break
            channel.send(str(_fork_for(service, channel, payload, descriptors, run)).encode())
            for descriptor in descriptors:
                os.close(descriptor)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _fork_for(
    service: int, channel: socket.socket, payload: bytes, descriptors: list[int], run: Task
) -> int:
    """The process id of a child that has the service as its parent.

    A process between the two forks it and ends, by which the kernel gives it to the subreaper. That
    has happened once the one between has been waited for.
    """
    read_end, write_end = os.pipe()
    between = os.fork()
    if not between:
        child = os.fork()
        if child:
            os.write(write_end, str(child).encode())
            os._exit(0)
        for descriptor in (read_end, write_end):
            os.close(descriptor)
        channel.close()
        _become_child(service, payload, descriptors, run)
    os.close(write_end)
    os.waitpid(between, 0)
    with os.fdopen(read_end, "rb") as answer:
        return int(answer.read())


def _become_child(service: int, payload: bytes, descriptors: list[int], run: Task) -> NoReturn:
    code = 1
    try:
        _prctl(_SET_NAME, b"fitfleet")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        ends_at = time.monotonic() + _ADOPTION_S
        while os.getppid() != service and time.monotonic() < ends_at:
            time.sleep(0.0005)
        if os.getppid() == service:
            code = run(payload, descriptors)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _used_ticks(pid: int) -> int:
    """CPU time of a process in the kernel's units; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


@contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of processes that are forked meanwhile by a child that then ends."""
    _prctl(_SET_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_SET_SUBREAPER, 0)


def _die_with_parent(parent: int) -> None:
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _prctl(option: int, argument: int | bytes) -> None:
    ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)
