"""What a host that joins is told, by whom it is asked, and where it keeps it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from clients import MakeClient, MakeToken
from support.rows import insert, new_job
from support.s3 import CREDENTIALS
from support.servers import free_port

import fitfleet as ff
from fitfleet.api.host_settings import settings_for
from fitfleet.api.serve import ApiServer, Options
from fitfleet.client.remote.connection import Connection
from fitfleet.client.remote.host_settings import FLEET_WIDE, joined_settings
from fitfleet.db.accounts import access
from fitfleet.db.actor import Actor, Scope
from fitfleet.db.fleet import workers
from fitfleet.errors import AccessError, ApiError, SettingsError, StateError
from fitfleet.settings import Settings

HOST = Actor("gpu-hosts", Scope.WORK, "00000000")


def changed(fleet: ff.Fleet, **values: Any) -> ff.Fleet:
    """The fleet of other settings, on the same database."""
    return ff.Fleet(fleet.settings.replace(**values), fleet.database)


@pytest.fixture
def settings(settings: Settings, valkey_url: str) -> Settings:
    """With a broker: it is asked whether a host may have a user of its own."""
    return settings.replace(broker_url=valkey_url)


@pytest.fixture
def behind_tls(fleet: ff.Fleet, tmp_path: Path) -> ff.Fleet:
    """Workers are told a PostgreSQL and a Valkey with certificates."""
    for name in ("ca", "key"):
        (tmp_path / f"{name}.pem").write_text(f"-----BEGIN {name}-----\n")
    ca, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    database = f"postgresql://w:pass%23word@db.example/fit?sslrootcert={ca}&sslkey={key}"
    broker = f"rediss://:br0ker@valkey.example:6379/0?ssl_ca_certs={ca}"
    key_of_messages = "the-key-of-messages-0123456789abcdef"
    return changed(
        fleet, worker_database_url=database, worker_broker_url=broker, message_key=key_of_messages
    )


def test_a_host_gets_the_settings_of_the_fleet_and_keeps_its_own(
    behind_tls: ff.Fleet, token: MakeToken, tmp_path: Path
) -> None:
    server = ApiServer(behind_tls, Options("127.0.0.1:0")).start()
    try:
        here = Settings(slots=3, queue="gpu", labels=("zone=a",), storage="/mnt/own", lease_s=7.0)
        connection = Connection(server.url, token("gpu-hosts", Scope.WORK))
        joined = joined_settings(connection, here, tmp_path / "joined")
    finally:
        server.stop()
    assert (joined.slots, joined.queue, joined.labels) == (3, "gpu", ("zone=a",))
    assert joined.storage == "/mnt/own"  # where this host has mounted it
    of_fleet = behind_tls.settings
    assert joined.data_root == of_fleet.data_root
    assert joined.lease_s == of_fleet.lease_s and joined.message_key == of_fleet.message_key
    for url in (joined.database_url, joined.broker_url):
        path = Path(url.partition("=")[2].partition("&")[0].replace("%2F", "/"))
        assert path.is_relative_to(tmp_path / "joined")
        assert path.read_text() == "-----BEGIN ca-----\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert joined.database_url.startswith("postgresql://w:pass%23word@db.example/fit?sslrootcert=")
    assert "sslkey=" in joined.database_url
    shown = repr(joined)
    assert [s for s in ("pass%23word", "br0ker", of_fleet.message_key) if s in shown] == []


def test_who_joined_is_in_the_log(fleet: ff.Fleet) -> None:
    settings_for(fleet, "127.0.0.1", HOST)
    with fleet.database.read() as c:
        (newest,) = access.log(c, 1)
    assert (newest["action"], newest["target"]) == ("join", "127.0.0.1")


def test_no_setting_of_a_host_or_a_user_is_sent() -> None:
    assert not {"token", "user", "url", "slots", "gpus", "labels", "cache"} & set(FLEET_WIDE)
    assert {"database_url", "broker_url", "message_key", "lease_s", "storage"} <= set(FLEET_WIDE)


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({}, StateError, "SQLite file, which other hosts cannot use"),
        (
            {"worker_database_url": "postgresql://u:p@localhost/f"},
            StateError,
            "worker_database_url",
        ),
        ({"worker_database_url": "postgresql://u:p@db/f"}, StateError, "worker_broker_url"),
        (
            {
                "worker_database_url": "postgresql://u:p@db/f?sslrootcert=/no/ca.pem",
                "worker_broker_url": "redis://:p@broker/0",
            },
            SettingsError,
            "sslrootcert=/no/ca.pem cannot be read: No such file",
        ),
    ],
    ids=["sqlite", "loopback database", "loopback broker", "no certificate"],
)
def test_a_fleet_that_another_host_cannot_reach_says_so(
    values: dict[str, str], error: type[Exception], says: str, fleet: ff.Fleet
) -> None:
    with pytest.raises(error, match=says) as refused:
        settings_for(changed(fleet, **values), "10.0.0.5", HOST)
    assert ":p@" not in str(refused.value) and "\n" not in str(refused.value)
    with fleet.database.read() as c:
        assert access.log(c, 9) == []


def test_a_host_that_fails_its_check_does_not_join(
    server: ApiServer, token: MakeToken, fleet: ff.Fleet, tmp_path: Path
) -> None:
    def join(scope: Scope) -> subprocess.CompletedProcess[str]:
        environment = {"FITFLEET_TOKEN": token("gpu-hosts", scope), "TMPDIR": str(tmp_path)}
        words = ["join", server.url, "--storage", str(tmp_path / "no")]
        return subprocess.run(
            [sys.executable, "-m", "fitfleet", *words],
            env={**os.environ, **environment}, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    done = join(Scope.WORK)
    assert done.returncode == 3
    assert f"storage: {tmp_path / 'no'} does not exist; fix: mount or create it" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("fitfleet-*")) == []
    with fleet.database.read() as c:
        assert workers.live(c, 60.0) == []
    done = join(Scope.SUBMIT)
    assert (done.returncode, "needs one of scope work" in done.stderr) == (2, True)


@pytest.mark.slow
def test_a_host_that_is_ended_while_it_is_checked_leaves_nothing(
    server: ApiServer, token: MakeToken, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {"FITFLEET_TOKEN": token("gpu-hosts", Scope.WORK), "TMPDIR": str(tmp_path)}
        environment |= {**CREDENTIALS, "AWS_ENDPOINT_URL": address}
        words = ["join", server.url, "--storage", "s3://fleet/nobody-answers"]
        joining = subprocess.Popen(
            [sys.executable, "-m", "fitfleet", *words], env={**os.environ, **environment}
        )
        connection, _ = silent.accept()  # the check of the storage waits for an answer
        with connection:
            assert len(list(tmp_path.glob("fitfleet-join-*"))) == 1
            joining.terminate()
            assert joining.wait(60) == 128 + signal.SIGTERM
    assert list(tmp_path.glob("fitfleet-*")) == []


def test_a_client_that_waits_outlives_a_restart_of_the_api(
    fleet: ff.Fleet, token: MakeToken, tmp_path: Path
) -> None:
    (number,) = insert(fleet.database, new_job("a"))
    options = Options(f"127.0.0.1:{free_port()}")
    server = ApiServer(fleet, options).start()
    remote = ff.connect(server.url, token=token())
    waiting = threading.Thread(target=remote.wait, args=([number],), daemon=True)
    waiting.start()
    time.sleep(0.5)
    server.stop()
    time.sleep(0.5)
    assert waiting.is_alive()
    server = ApiServer(fleet, options).start()
    fleet.job(number).cancel()
    waiting.join(20)
    server.stop()
    assert not waiting.is_alive()


def test_a_token_to_read_changes_nothing(client: MakeClient, fleet: ff.Fleet) -> None:
    (number,) = insert(fleet.database, new_job("a"))
    job = client("ana", Scope.READ).job(number)
    with pytest.raises(AccessError, match="is of scope read; this needs one of scope submit"):
        job.cancel()
    assert fleet.job(number).status is ff.JobStatus.QUEUED


def test_while_the_broker_is_away_no_host_receives_the_common_password(
    fleet: ff.Fleet, token: MakeToken, tmp_path: Path
) -> None:
    away = changed(fleet, broker_url="redis://:geheim@127.0.0.1:1/0")
    server = ApiServer(away, Options("127.0.0.1:0")).start()
    try:
        connection = Connection(server.url, token("gpu-hosts", Scope.WORK), "")
        with pytest.raises(ApiError, match="broker does not answer; try again") as caught:
            joined_settings(connection, Settings(), tmp_path)
        assert "geheim" not in str(caught.value)
    finally:
        server.stop()


def test_a_host_asks_for_its_settings_before_it_loads_what_reads_a_database() -> None:
    script = (
        "import sys, fitfleet.cli.main, fitfleet.client.remote.host_settings;"
        " sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
