"""The embedded broker: private, shared by the scripts of a folder, and gone with the last one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from support.servers import wait_until

from fitfleet import queue
from fitfleet.embedded.broker import Broker
from fitfleet.errors import BrokerError
from fitfleet.settings import Settings

KEY = b"k" * 32


def _pid(folder: Path) -> int:
    return int((folder / "valkey.pid").read_text())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return f"{pid} (valkey" in Path(f"/proc/{pid}/stat").read_text()


def _client(url: str) -> redis.Redis:
    return redis.Redis(unix_socket_path=url.removeprefix("redis+socket://"))


def test_a_long_and_odd_path_works_with_celery(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40) / "a \"quoted\" bäckslash\\ 'name' %s"
    broker = Broker(folder)
    url = broker.acquire()
    app = queue.celery_app(Settings(broker_url=url))
    queue.publish(app, "cpu", [(1, 1), (2, 1)], KEY)
    assert queue.waiting(app, "cpu") == 2
    assert (folder / "appendonlydir").is_dir()
    broker.release()


def test_only_this_user_can_reach_it(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    socket = Path(broker.acquire().removeprefix("redis+socket://"))
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    client = _client(broker.url)
    assert client.config_get("port") == {b"port": b"0"} or client.config_get("port") == {
        "port": "0"
    }
    client.close()
    broker.release()
    assert not socket.parent.exists()


def test_the_last_to_leave_stops_it(tmp_path: Path) -> None:
    first, second = Broker(tmp_path), Broker(tmp_path)
    assert first.acquire() == second.acquire()
    pid = _pid(tmp_path)
    first.release()
    assert _is_alive(pid)
    second.release()
    assert not _is_alive(pid)
    second.release()


def test_another_way_to_the_folder_is_the_same_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    first, second = Broker(tmp_path / "real"), Broker(tmp_path / "link")
    assert first.acquire() == second.acquire()
    pid = _pid(tmp_path / "real")
    first.release()
    assert _is_alive(pid)
    second.release()


def test_another_temporary_folder_finds_the_same_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Broker(tmp_path / "fleet"), Broker(tmp_path / "fleet")
    url = first.acquire()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert second.acquire() == url
    first.release()
    second.release()


def test_messages_survive_a_crash(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    client = _client(broker.acquire())
    client.lpush("cpu", "message")
    client.config_set("appendfsync", "always")
    client.lpush("cpu", "message")
    client.close()
    os.kill(_pid(tmp_path), signal.SIGKILL)
    wait_until(lambda: not _is_alive(_pid(tmp_path)), "the server's end")
    client = _client(broker.acquire())
    assert client.llen("cpu") == 2
    client.close()
    broker.release()


_KILLED = """
import os, signal, sys
from pathlib import Path
from fitfleet.embedded.broker import Broker
Broker(Path(sys.argv[1])).acquire()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_an_orphan_is_shared_and_then_stopped(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path], check=False)
    orphan = _pid(tmp_path)
    assert _is_alive(orphan)
    broker = Broker(tmp_path)
    broker.acquire()
    assert _pid(tmp_path) == orphan
    broker.release()
    wait_until(lambda: not _is_alive(orphan), "the orphan ends")


def test_a_server_without_its_socket_is_replaced(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    socket = Path(broker.acquire().removeprefix("redis+socket://"))
    old = _pid(tmp_path)
    socket.unlink()
    client = _client(broker.acquire())
    assert client.ping()
    client.close()
    assert _pid(tmp_path) != old
    broker.release()


def test_the_pid_of_another_program_is_left_alone(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    (tmp_path / "valkey.pid").write_text(str(sleeper.pid))
    broker = Broker(tmp_path)
    broker.acquire()
    broker.release()
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()


def test_a_folder_that_cannot_be_used_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokerError, match="choose another directory"):
        Broker(tmp_path / "file" / "fleet").acquire()


def test_a_server_that_died_is_started_again_by_who_watches(tmp_path: Path) -> None:
    first, second = Broker(tmp_path), Broker(tmp_path)
    assert first.acquire() == second.acquire()
    old = _pid(tmp_path)
    assert not first.revive()
    os.kill(old, signal.SIGKILL)
    wait_until(first.revive, "it is seen to be dead")
    assert not second.revive()
    client = _client(first.url)
    assert client.ping()
    client.close()
    assert _pid(tmp_path) != old
    first.release()
    second.release()
