"""A worker service takes a message only when a child is there to run it, and can claim it."""

from __future__ import annotations

import logging
from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks

_log = logging.getLogger(__name__)


class Outage:
    """Shared by a service and its children: whether one of them found the database away.

    Without a lock, which a killed child might hold.
    """

    def __init__(self) -> None:
        self._flag = RawValue("b", 0)

    def __bool__(self) -> bool:
        return bool(self._flag.value)

    def begin(self) -> None:
        """The database does not answer: take no messages."""
        self._flag.value = 1

    def end(self) -> None:
        """The database answers again."""
        self._flag.value = 0


outage = Outage()  # of this service; children are forked with it


class ChildReadiness:
    """Whether a child of this service is there to run a job; set as messages are asked for."""

    def __init__(self) -> None:
        self.has_child = False


warmth = ChildReadiness()


class WarmChildren(bootsteps.StartStopStep):  # type: ignore[misc]
    """Leaves messages in the broker while children import TensorFlow.

    Celery counts a child from its fork on. A message that it took for one that only starts would
    wait here for seconds, though another service may be free, and would seem lost to the scheduler,
    which looks for it in the broker.
    """

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Called at each connection to the broker, with a channel that is new."""
        qos = consumer.task_consumer.channel.qos
        may_consume = qos.can_consume
        pool = consumer.pool

        def can_consume() -> bool:
            from celery.worker import state

            warm = pool.info["writes"]["inqueues"]["total"]
            warmth.has_child = bool(warm)
            is_free = not outage and len(state.reserved_requests) < warm
            return is_free and bool(may_consume())

        qos.can_consume = can_consume
        _log.info("connected to the broker; ready for jobs")
