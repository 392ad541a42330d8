"""A host that joins has a user of the broker of its own, with least rights, until its token ends.

On a real Valkey, with the file of users of deploy/valkey.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from support.rows import insert, new_job
from support.servers import Valkey, die_with_parent
from support.waiting import until
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.api.host_settings import settings_for
from fitfleet.cli.main import app
from fitfleet.client.doctor.doctor import broker_users_of_hosts
from fitfleet.db.accounts import keys, tokens
from fitfleet.db.actor import Actor, Scope
from fitfleet.db.session import Database
from fitfleet.errors import BrokerError
from fitfleet.queue import celery_app, ping, publish, scheduler_seen
from fitfleet.scheduler import broker_users
from fitfleet.scheduler.maintenance import BrokerUsers
from fitfleet.settings import Settings

USERS = Path(__file__).parents[3] / "deploy" / "valkey" / "users.acl"


class _WithUsers(Valkey):
    """As an admin runs it: users in a file, and no other way in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "users.acl").write_text(USERS.read_text())

    @property
    def url(self) -> str:
        return self.url_of("admin")

    def url_of(self, user: str) -> str:
        password = f"{user.upper()}-PASSWORD"
        return f"redis://fitfleet_{user}:{password}@127.0.0.1:{self.port}/0"

    def _lines(self) -> list[str]:
        return [*super()._lines(), f'aclfile "{self.folder / "users.acl"}"']


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_WithUsers]:
    server = _WithUsers(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fleet(server: _WithUsers, sqlite_url: str) -> Iterator[ff.Fleet]:
    """As the API holds it."""
    server.flush()
    settings = Settings(database_url=sqlite_url, broker_url=server.url_of("scheduler"))
    with ff.Fleet(settings, Database(sqlite_url)) as fleet:
        yield fleet


Join = Callable[..., tuple[str, Settings]]


@pytest.fixture
def join(fleet: ff.Fleet) -> Join:
    """Lets a host join: the number of its token, and its settings."""

    def joined(expires_s: float | None = None, queue: str = "cpu") -> tuple[str, Settings]:
        with fleet.database.begin() as c:
            number = tokens.create(c, "hosts", Scope.WORK, expires_s).split("_")[1]
        said = settings_for(fleet, "127.0.0.1", Actor("hosts", Scope.WORK, number), queue)
        return number, fleet.settings.replace(broker_url=said["settings"]["broker_url"])

    return joined


def _client(settings: Settings) -> Any:
    return redis.Redis.from_url(settings.broker_url)


def test_the_file_of_users_has_the_commands_of_the_code() -> None:
    lines = {line.split()[1]: line.split() for line in USERS.read_text().splitlines() if line}
    needed = {f"+{name}" for name in broker_users.HOST_COMMANDS}
    assert {word for word in lines["fitfleet_worker"] if word[0] == "+"} == needed
    more = {word for word in lines["fitfleet_scheduler"] if word[0] == "+"} - needed
    assert more == {
        f"+acl|{name}" for name in ("whoami", "dryrun", "users", "setuser", "deluser", "save")
    }
    assert lines["default"][2:] == ["off"]


def test_a_host_may_read_its_queue_and_nothing_else(
    server: _WithUsers, fleet: ff.Fleet, join: Join
) -> None:
    number, host = join()
    assert host.broker_url.startswith(f"redis://fitfleet_host_{number}_")
    assert "PASSWORD" not in host.broker_url
    publish(celery_app(fleet.settings), "cpu", [(1, 1)], b"k" * 32)
    admin, client = server.client(), _client(host)
    admin.set("other", "x")
    admin.lpush("gpu", "x")
    ping(celery_app(host))
    assert scheduler_seen(celery_app(host)) is None
    assert client.brpop(["cpu", "cpu\x06\x163", "cpu/labels/1f"], 1)[0] == b"cpu"
    refused: list[tuple[Any, ...]] = [
        *(("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("SCAN", "0"), ("CONFIG", "GET", "*")),
        *(("MONITOR",), ("SHUTDOWN",), ("ACL", "LIST"), ("ACL", "SETUSER", "x"), ("INFO",)),
        *(("CLIENT", "LIST"), ("CLIENT", "KILL", "ID", "1"), ("EVAL", "return 1", "0")),
        *(("GET", "other"), ("DEL", "other"), ("BRPOP", "gpu", "1"), ("LPUSH", "gpu", "x")),
        *(("SET", "fitfleet.scheduler", "x"), ("PUBLISH", "/0.x", "x")),
        *(("SUBSCRIBE", "/0.other"), ("REPLICAOF", "127.0.0.1", "1"), ("DUMP", "cpu")),
    ]
    for words in refused:
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*words)
    client.close()
    admin.close()


def test_a_host_is_cut_off_with_its_token_and_others_are_not(
    server: _WithUsers, fleet: ff.Fleet, join: Join
) -> None:
    (number, host), (_, other) = join(), join()
    client = _client(host)
    assert client.ping()
    options = ["--database-url", fleet.settings.database_url]
    options += ["--broker-url", fleet.settings.broker_url]
    done = CliRunner().invoke(app, ["token", "revoke", number, *options])
    assert done.exit_code == 0, done.output
    assert f"the broker's user fitfleet_host_{number}_" in done.output
    assert "is deleted" in done.output and "broker's password" not in done.output
    with pytest.raises((redis.exceptions.RedisError, OSError)):
        client.ping()
    with pytest.raises(BrokerError):
        ping(celery_app(host))
    ping(celery_app(other))
    client.close()


def test_the_scheduler_deletes_users_of_tokens_that_have_expired_and_a_restart_keeps_the_others(
    server: _WithUsers, fleet: ff.Fleet, join: Join
) -> None:
    (expired, host), (_, other) = join(expires_s=3600.0), join()
    with fleet.database.begin() as c:
        c.execute(tokens.tokens.update().where(tokens.tokens.c.id == expired).values(expires_at=1))
    BrokerUsers(fleet.settings)(fleet.database)
    server.stop()
    server.start()
    with pytest.raises(BrokerError):
        ping(celery_app(host))
    ping(celery_app(other))


def test_who_may_make_no_users_tells_hosts_the_password_and_doctor_says_so(
    server: _WithUsers, fleet: ff.Fleet, valkey_url: str
) -> None:
    def said(settings: Settings) -> str:
        (finding,) = broker_users_of_hosts(settings)
        return finding.detail

    assert said(fleet.settings) == "each host that joins gets one of its own"
    of_worker = fleet.settings.replace(broker_url=server.url_of("worker"))
    without_file = fleet.settings.replace(broker_url=valkey_url)
    for settings in (of_worker, without_file):
        assert broker_users.create(celery_app(settings), "0" * 8, "cpu") is None
        assert "told the broker's password" in said(settings)
    assert broker_users.end(celery_app(of_worker), "0" * 8) == ([], [])


def test_a_broker_that_is_away_is_not_taken_for_one_without_users(
    fleet: ff.Fleet, join: Join
) -> None:
    away = fleet.settings.replace(broker_url="redis://127.0.0.1:1/0")
    with pytest.raises(BrokerError):
        broker_users.create(celery_app(away), "0" * 8, "cpu")


@pytest.mark.slow
def test_a_worker_and_a_scheduler_do_all_they_do_with_these_rights(
    server: _WithUsers, fleet: ff.Fleet, join: Join, tmp_path: Path
) -> None:
    """Messages are taken, acknowledged and given back; the broker has refused no command."""
    _, host = join()
    folders = {name: str(tmp_path / name) for name in ("storage", "logs", "cache")}
    insert(fleet.database, *(new_job(f"{i}") for i in range(3)))
    admin = server.client()
    admin.execute_command("ACL", "LOG", "RESET")

    def started(name: str, settings: Settings, *words: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **settings.replace(**folders).to_environment()}
        return subprocess.Popen(
            [sys.executable, "-m", "fitfleet", name, *words],
            env=environment,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    with started("scheduler", fleet.settings) as scheduler:
        with started("worker", host, "--label", "zone=a") as worker:
            until(lambda: all(job.status == "FAILED" for job in fleet.jobs()), 120)
            worker.terminate()
        scheduler.terminate()
    refused = {
        (entry["username"], entry["context"], entry["object"], entry["reason"])
        for entry in _log(admin)
    }
    assert refused <= {(name, "toplevel", "client|unblock", "command") for name, *_ in refused}
    with fleet.database.read() as c:
        assert keys.message_key(c, fleet.settings)
    admin.close()


def _log(client: Any) -> list[dict[str, str]]:
    def text(value: Any) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    entries = client.execute_command("ACL", "LOG")
    return [
        {text(name): text(value) for name, value in entry.items()}
        if isinstance(entry, dict)
        else {text(n): text(v) for n, v in zip(entry[::2], entry[1::2], strict=True)}
        for entry in entries
    ]
