"""How a service's connection to the broker waits, and stops waiting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection
from support.servers import Valkey
from support.waiting import until

from fitfleet.worker.process.transport import Channel, Transport

WAIT_S = 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey of its own."""
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.stop()


def _waiting_channel(url: str, **credentials: str) -> Channel:
    """A channel that waits for a message, as long as a minute."""
    channel = Connection(url, transport=Transport, **credentials).channel()
    channel.brpop_timeout = WAIT_S
    channel.queue_declare(queue="cpu")
    channel.basic_consume("cpu", True, lambda message: None, "tag")
    connection = channel.client.connection = channel.client.connection_pool.get_connection()
    connection.connect()
    channel._brpop_start()
    return channel


def _commands(client: redis.Redis) -> list[Any]:
    return [entry["cmd"] for entry in client.client_list()]


def test_closing_does_not_wait_for_a_message(broker: Valkey) -> None:
    channel = _waiting_channel(broker.url)
    with redis.Redis.from_url(broker.url) as client:
        until(lambda: "brpop" in _commands(client))
        begun_at = time.monotonic()
        channel.close()
        assert time.monotonic() - begun_at < WAIT_S / 2
        until(lambda: "brpop" not in _commands(client))


def test_a_broker_that_does_not_tell_its_clients_numbers_is_waited_for(broker: Valkey) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.acl_setuser(
            "limited", True, passwords=["+secret"], keys="*", commands=["+@all", "-client|id"]
        )
        channel = _waiting_channel(broker.url, userid="limited", password="secret")
        until(lambda: "brpop" in _commands(client))
        channel.brpop_timeout = 0.0
        client.lpush("cpu", b"no message of ours")
        channel.close()
        assert client.llen("cpu") == 0
