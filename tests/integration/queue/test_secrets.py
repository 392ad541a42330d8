"""Passwords: in no output, log, traceback, representation or process title; TLS is verified."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.servers import Valkey, wait_until
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet import queue
from fitfleet.cli.main import app
from fitfleet.client.doctor.doctor import examine_services
from fitfleet.errors import BrokerError
from fitfleet.settings import Settings
from fitfleet.urls import quoted_password, without_password

SECRET = "s3cr3t#of/the?br@ker"
PARTS = ("s3cr3t", "br@ker", "br%40ker", "s3cr3t%23")
CERTIFICATE = Path(__file__).parent / "tls" / "certificate.pem"
KEY = b"k" * 32


def assert_silent(text: str) -> None:
    assert not [part for part in PARTS if part in text], text


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@host:1/0",
        f"redis://user:{SECRET}@host:1/0?socket_timeout=3&name=a@b",
        "redis://s3cr3t@host/0",
        "rediss://host/0?password=s3cr3t&db=1",
        "redis+socket://:s3cr3t@/run/valkey.sock?virtual_host=0",
        f"postgresql://u:{SECRET}@host/db?sslmode=require",
        "postgresql://host/db?user=u&password=s3cr3t&sslpassword=s3cr3t",
    ],
)
def test_a_url_is_shown_without_its_password(url: str) -> None:
    for form in (url, quoted_password(url)):
        shown = without_password(form)
        assert_silent(shown)
        assert "***" in shown
    settings = Settings(broker_url=url, database_url=url)
    assert_silent(repr(settings) + str(settings.shown()))


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////home/a@b:c/fleet.db",
        "redis+socket:///run/x@y.sock?virtual_host=0",
        "redis://localhost:6379/0?client_name=a@b",
        "postgresql://user@host/db",
        "postgresql://u:%23@host/db",
    ],
)
def test_a_url_that_needs_no_change_has_none(url: str) -> None:
    assert quoted_password(url) == url
    if "%23" not in url and "a@b" not in url:  # rather hides too much
        assert without_password(url) == url


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """With a password that no URL may hold unquoted."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = Valkey(folder)
    server.start()
    client = server.client()
    client.config_set("requirepass", SECRET)
    client.close()
    yield server
    server.stop()


def broker_url(valkey: Valkey) -> str:
    return f"redis://:{SECRET}@127.0.0.1:{valkey.port}/0"


def test_a_password_of_any_characters_works(valkey: Valkey) -> None:
    for url in (broker_url(valkey), f"redis://127.0.0.1:{valkey.port}/0?password=s3cr3t"):
        celery = queue.celery_app(Settings(broker_url=url))
        if SECRET in url:
            queue.publish(celery, "cpu", [(1, 1)], KEY)
            assert queue.waiting(celery, "cpu") == 1
        else:
            with pytest.raises(BrokerError) as refused:
                queue.ping(celery)
            assert_silent(str(refused.value))


def test_nothing_that_is_printed_holds_a_password(
    valkey: Valkey, tmp_path: Path, postgres_url: str
) -> None:
    folder = ["--directory", str(tmp_path / "fleet")]
    wrong = postgres_url.replace("fitfleet:", f"fitfleet:{SECRET}")
    places = [
        [*folder, "--broker-url", broker_url(valkey)],
        [*folder, "--broker-url", f"redis://:{SECRET}@127.0.0.1:1/0"],
        ["--database-url", wrong, "--broker-url", "redis://:s3cr3t@nowhere.invalid:1/0"],
        ["--database-url", f"mysql://u:{SECRET}@host/db"],
        ["--database-url", f"postgresql://u:{SECRET}@nowhere.invalid/db?password=s3cr3t"],
        ["--broker-url", f"redis://:{SECRET}@host:port/0"],
    ]
    commands = ["settings", "settings --json", "ps", "workers", "db upgrade"]
    for place in places:
        for words in commands:
            result = CliRunner().invoke(app, [*words.split(), *place])
            assert_silent(result.output)
        settings = dict(zip(place[::2], place[1::2], strict=True))
        settings = {name.strip("-").replace("-", "_"): v for name, v in settings.items()}
        settings.pop("directory", None)
        for finding in examine_services(Settings.load(settings)):
            assert_silent(str(finding))
    with ff.connect(postgres_url, broker_url(valkey)) as fleet:
        shown = repr(fleet) + repr(fleet.settings) + repr(vars(fleet))
    assert_silent(shown)
    assert str(urlsplit(postgres_url).password) not in shown


def test_a_service_shows_its_password_to_no_other_process(valkey: Valkey, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    assert CliRunner().invoke(app, ["db", "upgrade", "--database-url", url]).exit_code == 0
    command = [sys.executable, "-m", "fitfleet", "scheduler"]
    command += [f"--broker-url={broker_url(valkey)}", "--database-url", url]
    log = tmp_path / "scheduler.log"
    with log.open("wb") as file:
        service = subprocess.Popen(command, stdout=file, stderr=file, cwd=tmp_path)
    try:
        wait_until(lambda: "started" in log.read_text(), "the scheduler starts")
        assert_silent(Path(f"/proc/{service.pid}/cmdline").read_text())
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(120)
    assert service.returncode == 0, log.read_text()
    assert_silent(log.read_text())


class Tls:
    """A Redis that speaks TLS with a certificate that nobody has signed, and keeps what it got."""

    def __init__(self) -> None:
        self.received = b""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
        self.socket = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.socket.accept()
            except ssl.SSLError:
                continue  # a client that did not like the certificate
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: ssl.SSLSocket) -> None:
        with suppress(OSError), client:
            while received := client.recv(4096):
                self.received += received
                client.sendall(b"-ERR unknown command\r\n")


@pytest.fixture
def tls() -> Iterator[Tls]:
    """That server."""
    server = Tls()
    yield server
    server.socket.close()


def test_nothing_is_published_over_a_certificate_that_nobody_vouches_for(tls: Tls) -> None:
    url = f"rediss://:s3cr3t@127.0.0.1:{tls.port}/0"
    celery = queue.celery_app(Settings(broker_url=url))
    for use in (
        lambda: queue.ping(celery),
        lambda: queue.publish(celery, "cpu", [(1, 1)], KEY),
    ):
        with pytest.raises(BrokerError, match="certificate") as refused:
            use()
        assert_silent(str(refused.value))
    assert tls.received == b""


def test_a_certificate_of_the_given_authority_is_accepted(tls: Tls) -> None:
    url = f"rediss://127.0.0.1:{tls.port}/0?ssl_ca_certs={CERTIFICATE}"
    with suppress(BrokerError):  # of what comes after, this server knows nothing
        queue.ping(queue.celery_app(Settings(broker_url=url)))
    assert tls.received != b""


def test_a_service_reads_a_password_from_its_environment(valkey: Valkey) -> None:
    environment = Settings(broker_url=broker_url(valkey)).to_environment()
    assert os.environ.keys().isdisjoint({"FITFLEET_BROKER_URL"})
    assert Settings.load({"broker_url": environment["FITFLEET_BROKER_URL"]}).broker_url == (
        quoted_password(broker_url(valkey))
    )
