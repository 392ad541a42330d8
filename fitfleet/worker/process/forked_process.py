"""Children of Celery's pool that the fork server forks, where billiard would fork the service.

What is sent are the pipes and the shared values of one child, in the way billiard does it for its
own start method `forkserver`; all else the fork server has from the service, of which it is a fork.
"""

from __future__ import annotations

import io
import os
from functools import partial
from typing import Any

from billiard import context, popen_fork, reduction

from fitfleet.worker.process.fork_server import ForkServer

_received: list[int] = []  # in a new child: the descriptors that were sent


class _Descriptor:
    """Stands in a message for a descriptor that travels beside it."""

    def __init__(self, number: int) -> None:
        self._number = number

    def detach(self) -> int:
        """The descriptor in the child that has received it."""
        return _received[self._number]


class _Popen(popen_fork.Popen):  # type: ignore[misc]
    """A child as billiard sees it. `sentinel` is readable once it has ended."""

    DupFd = _Descriptor

    def __init__(self, process: Any, server: ForkServer) -> None:
        self._server = server
        self._descriptors: list[int] = []
        super().__init__(process)

    def duplicate_for_child(self, descriptor: int) -> int:
        """Called while a child is pickled; the descriptor's number among those that are sent."""
        self._descriptors.append(descriptor)
        return len(self._descriptors) - 1

    def _launch(self, process: Any) -> None:
        self.sentinel, held_by_child = os.pipe()
        try:
            self.pid = self._server.fork(
                self._pickled(process), [*self._descriptors, held_by_child]
            )
        except BaseException:
            os.close(self.sentinel)
            raise
        finally:
            os.close(held_by_child)

    def _pickled(self, process: Any) -> bytes:
        payload = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump((process.name, process.index, process._target), payload)
        finally:
            context.set_spawning_popen(None)
        return payload.getvalue()


def process_class(server: ForkServer) -> type[context.ForkProcess]:
    """billiard's class of a process, its children forked by the server."""

    class ForkedProcess(context.ForkProcess):  # type: ignore[misc]
        _Popen = staticmethod(partial(_Popen, server=server))

    return ForkedProcess


def run_child(payload: bytes, descriptors: list[int]) -> int:
    """What a new child of the pool does; its exit code."""
    _received[:] = descriptors
    name, index, worker = reduction.ForkingPickler.loads(payload)
    process = context.ForkProcess(target=worker, name=name, daemon=True)
    process.index = index
    return int(process._bootstrap())
