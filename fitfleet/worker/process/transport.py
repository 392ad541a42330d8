"""Celery's Redis transport, through which only messages of this fleet come.

kombu decodes what it is sent inside the event loop of the service, and an error there ends its
consuming for good. So everything is checked (messages) before kombu sees it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks
from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.transport.virtual import Empty
from redis.exceptions import ResponseError

from fitfleet.worker.process import messages


class QoS(redis.QoS):
    """What was taken and not begun, which lies in the broker too, where others may write."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Give a message back to its queue; one that cannot be read is dropped."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)  # type: ignore[no-untyped-call]
        except self.channel.connection_errors:
            raise
        except messages.FOREIGN:
            messages.refuse(messages.UNREADABLE)
            with self.channel.conn_or_acquire(client) as connection:
                connection.hdel(self.unacked_key, tag)
                connection.zrem(self.unacked_index_key, tag)


class Channel(redis.Channel):
    """Reads one message at a time; what is not of this fleet is counted and dropped."""

    QoS = QoS
    key = b""  # of messages, set by `install`
    _socket: Any = None  # of the connection that waits for messages
    _client_id: int | None = None  # of that connection, as the broker numbers them

    def _brpop_start(self, timeout: float | None = None) -> None:
        """As kombu's; also keeps the client's id, by which the broker can end the wait."""
        connection = self.client.connection
        if connection._sock is not self._socket:
            self._socket, self._client_id = connection._sock, None
            with suppress(ResponseError):  # not for this user
                connection.send_command("CLIENT", "ID")
                self._client_id = connection.read_response()
        super()._brpop_start(timeout)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """As kombu's, which would wait up to a second for the answer to BRPOP."""
        if self._in_poll and self._client_id is not None:
            with suppress(ResponseError, *self.connection_errors), self.conn_or_acquire() as client:
                client.client_unblock(self._client_id)
        super().close()  # type: ignore[no-untyped-call]

    def _brpop_read(self, **options: Any) -> bool:
        """As kombu's, but for the check."""
        connection = self.client.connection
        try:
            answer = self.client.parse_response(connection, "BRPOP", **options)
            if not answer:
                raise Empty
            queue = answer[0].decode().rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            message = messages.checked(answer[1], queue, self.key)
            if message is not None:
                self.connection._deliver(message, queue)
            return True
        except self.connection_errors:
            connection.disconnect()  # so that the next turn connects again
            raise
        finally:
            self._in_poll = False
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call]

    def _receive_one(self, c: Any) -> None:
        """What is broadcast: remote control, which is not even decoded."""
        try:
            response = c.parse_response()
        except self.connection_errors:
            self._in_listen = False
            raise
        if isinstance(response, (list, tuple)):
            received = self._handle_message(c, response)  # type: ignore[no-untyped-call]
            if received["type"].endswith(b"message"):
                messages.refuse(messages.CONTROL)


class Transport(redis.Transport):
    """Redis, with the channel of above."""

    Channel = Channel


class ControlCounter(bootsteps.StartStopStep):  # type: ignore[misc]
    """Listens where Celery's remote control would, to count what is sent there."""

    requires = (Tasks,)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._consumer: Any = None

    def start(self, consumer: Any) -> None:
        """Called at each connection to the broker."""
        node = consumer.app.control.mailbox.Node(
            consumer.hostname, channel=consumer.connection.channel()
        )
        self._consumer = node.listen(callback=lambda *_: None)

    def stop(self, consumer: Any) -> None:
        """Its connection goes with the consumer's."""
        self._consumer = None


def install(key: bytes) -> None:
    """Let every connection of this process go through here, whichever scheme its URL has."""
    Channel.key = key
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
