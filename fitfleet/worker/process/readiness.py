"""A worker service takes a message only when a child is there to run it."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks


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
            return len(state.reserved_requests) < warm and bool(may_consume())

        qos.can_consume = can_consume
