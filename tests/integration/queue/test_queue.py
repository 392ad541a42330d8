"""Messages: what is published, what waits, and what is said when the broker is away."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.servers import Valkey, free_port

from fitfleet import queue
from fitfleet.errors import BrokerError
from fitfleet.settings import Settings

KEY = b"k" * 32


def test_a_message_is_two_numbers(valkey_url: str, valkey_server: Valkey) -> None:
    app = queue.celery_app(Settings(broker_url=valkey_url))
    assert queue.waiting(app, "cpu") == 0
    queue.publish(app, "cpu", [(7, 1), (8, 3)], KEY)
    queue.publish(app, "gpu", [(9, 1)], KEY)
    assert (queue.waiting(app, "cpu"), queue.waiting(app, "gpu")) == (2, 1)
    client = valkey_server.client()
    messages = [json.loads(text) for text in client.lrange("cpu", 0, -1)]
    client.close()
    assert {message["headers"]["task"] for message in messages} == {"fitfleet.run"}
    assert [message["headers"]["argsrepr"] for message in messages] == ["(8, 3)", "(7, 1)"]
    assert {message["content-type"] for message in messages} == {"application/json"}
    assert all("expires" not in m["headers"] or m["headers"]["expires"] is None for m in messages)


def test_a_broker_that_is_away_is_reported_without_its_password() -> None:
    url = f"redis://:geheim@127.0.0.1:{free_port()}/0"
    app = queue.celery_app(Settings(broker_url=url))
    for call in (
        lambda: queue.ping(app),
        lambda: queue.waiting(app, "cpu"),
        lambda: queue.publish(app, "cpu", [(1, 1)], KEY),
    ):
        with pytest.raises(BrokerError, match="does not answer") as caught:
            call()
        assert "geheim" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wrong_password_is_reported(valkey_server: Valkey) -> None:
    assert valkey_server.password is not None
    url = valkey_server.url.replace(valkey_server.password, "geheim")
    with pytest.raises(BrokerError) as caught:
        queue.waiting(queue.celery_app(Settings(broker_url=url)), "cpu")
    assert "geheim" not in str(caught.value)


def test_a_restarted_broker_is_found_again(open_valkey: Valkey) -> None:
    app = queue.celery_app(Settings(broker_url=open_valkey.url))
    queue.publish(app, "cpu", [(1, 1)], KEY)
    queue.ping(app)
    open_valkey.stop(9)
    with pytest.raises(BrokerError):
        queue.publish(app, "cpu", [(2, 1)], KEY)
    open_valkey.start()
    queue.publish(app, "cpu", [(3, 1)], KEY)
    assert queue.waiting(app, "cpu") >= 1


def test_the_app_imports_no_tensorflow() -> None:
    code = (
        "import sys; from fitfleet.queue import celery_app; from fitfleet.settings import Settings;"
        "celery_app(Settings());"
        "sys.exit(bool({'tensorflow', 'keras', 'pandas'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_script_imports_neither_celery_nor_the_client_of_redis() -> None:
    code = (
        "import sys, fitfleet as ff; ff.Fleet, ff.local, ff.layers;"
        "sys.exit(bool({'celery', 'kombu', 'redis'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_broker_behind_a_socket_is_checked(tmp_path: Path) -> None:
    settings = Settings(broker_url=f"redis+socket://{tmp_path}/away.sock")
    with pytest.raises(BrokerError, match="does not answer"):
        queue.check(settings)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/mute.sock")
        server.listen()
        assert not queue.answers(tmp_path / "mute.sock", timeout_s=0.1)
