"""A fleet whose database and broker are reached over TLS, with certificates of an authority."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.parts import quick
from support.rows import insert, new_job, register, status
from support.servers import Postgres, Valkey, die_with_parent
from support.tls import Authority, TlsFront
from support.waiting import until
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet import queue
from fitfleet.cli.main import app
from fitfleet.db.fleet import capacity
from fitfleet.db.session import Database
from fitfleet.errors import BrokerError, DatabaseError, SettingsError
from fitfleet.scheduler.service import Scheduler
from fitfleet.settings import Settings
from fitfleet.states import JobStatus

WRONG = ("another authority", "another host", "expired")


class Doors:
    """Ends of TLS before PostgreSQL and Valkey, and the URLs that lead there."""

    def __init__(
        self, postgres_url: str, postgres: Postgres, valkey: Valkey, authority: Authority
    ) -> None:
        self._database, self._valkey = postgres_url, valkey
        self._postgres, self._authority = postgres, authority
        self.fronts: list[TlsFront] = []

    def broker(self, certificate: Path) -> str:
        """URL of the broker behind this certificate."""
        front = TlsFront(self._valkey.port, certificate)
        self.fronts.append(front)
        ca = f"?ssl_ca_certs={self._authority.file}"
        return f"rediss://:{self._valkey.password}@127.0.0.1:{front.port}/0{ca}"

    def database(self, certificate: Path) -> str:
        """URL of the database behind it."""
        front = TlsFront(self._postgres.port, certificate, is_postgres=True)
        self.fronts.append(front)
        url = self._database.replace(f":{self._postgres.port}/", f":{front.port}/")
        return f"{url}?sslmode=verify-full&sslrootcert={self._authority.file}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def doors(
    postgres_url: str, postgres_server: Postgres, valkey_url: str, valkey_server: Valkey,
    authority: Authority,
) -> Iterator[Doors]:  # fmt: skip
    doors = Doors(postgres_url, postgres_server, valkey_server, authority)
    yield doors
    for front in doors.fronts:
        front.close()


@pytest.fixture(scope="module")
def wrong(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A certificate that must be refused, by what is wrong with it."""
    other = Authority(tmp_path_factory.mktemp("other"), "other")
    return {
        "another authority": lambda: other.issue("127.0.0.1"),
        "another host": lambda: authority.issue("broker.example"),
        "expired": lambda: authority.issue("127.0.0.1", days=-1),
    }.__getitem__


def _service(name: str, settings: Settings, folder: Path) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fitfleet", name],
            env=settings.to_environment() | {"PATH": "/usr/bin:/bin", "HOME": str(folder)},
            stdout=log,
            stderr=log,
            cwd=folder,
            preexec_fn=die_with_parent(15),
        )


def _has_slots(fleet: ff.Fleet) -> bool:
    with fleet.database.read() as c:
        return capacity.count_live_slots(c, fleet.settings.lease_s) > 0


@pytest.mark.slow
def test_a_job_goes_all_its_way_over_tls(
    doors: Doors, authority: Authority, tmp_path: Path, job: dict[str, Any]
) -> None:
    certificate = authority.issue("127.0.0.1")
    (tmp_path / "storage").mkdir()
    settings = Settings(
        database_url=doors.database(certificate),
        broker_url=doors.broker(certificate),
        **{name: str(tmp_path / name) for name in ("storage", "logs", "cache")},
    )
    with ExitStack() as stack:
        for name in ("scheduler", "worker"):
            service = _service(name, settings, tmp_path)
            stack.callback(service.wait, 30)
            stack.callback(service.terminate)
        fleet = stack.enter_context(
            ff.connect(settings.database_url, settings.broker_url, settings.storage)
        )
        until(lambda: _has_slots(fleet))
        done = fleet.submit(**job).wait(120)
        assert done.status is ff.JobStatus.SUCCEEDED, done.error
        assert len(done.history) == 2
        found = CliRunner().invoke(app, ["doctor"], env=settings.to_environment())
        services = [line for line in found.output.splitlines() if "FAIL" in line]
        assert not [line for line in services if "broker" in line or "database" in line]
    assert [front.relayed > 3 for front in doors.fronts] == [True, True]


def test_a_script_that_has_imported_tensorflow_connects(doors: Doors, authority: Authority) -> None:
    """TensorFlow's BoringSSL has the names of the OpenSSL that psycopg brings along."""
    script = (
        "import sys, tensorflow\n"
        "from fitfleet.db.session import Database\n"
        "with Database(sys.argv[1]).read() as c: print(c.exec_driver_sql('SELECT 41 + 1').scalar())"
    )
    url = doors.database(authority.issue("127.0.0.1"))
    done = subprocess.run(
        [sys.executable, "-c", script, url], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr[-500:]


@pytest.mark.parametrize("kind", quick(WRONG, "another host"))
def test_nothing_goes_to_a_broker_with_a_wrong_certificate(
    kind: str, doors: Doors, wrong: Callable[[str], Any], database: Database
) -> None:
    settings = Settings(
        database_url=str(database.url.render_as_string(hide_password=False)),
        broker_url=doors.broker(wrong(kind)()),
    )
    celery = queue.celery_app(settings)
    for use in (lambda: queue.ping(celery), lambda: queue.publish(celery, "cpu", [(1, 1)], b"k")):
        with pytest.raises(BrokerError, match="certificate") as refused:
            use()
        assert "\n" not in str(refused.value)
    (job_id,) = insert(database, new_job("a"))
    register(database, 1)
    scheduler = Scheduler(settings, database)
    with pytest.raises(BrokerError, match="certificate"):
        scheduler.tick()
    assert status(database, job_id) is JobStatus.QUEUED
    assert doors.fronts[0].relayed == 0


@pytest.mark.parametrize("kind", quick(WRONG, "another host"))
def test_a_database_with_a_wrong_certificate_is_reported_in_a_sentence(
    kind: str, doors: Doors, wrong: Callable[[str], Any]
) -> None:
    url = doors.database(wrong(kind)())
    with pytest.raises(DatabaseError, match="certificate") as refused:
        ff.connect(url)
    assert "\n" not in str(refused.value)
    assert doors.fronts[0].relayed == 0


def test_services_end_with_that_sentence(
    doors: Doors, wrong: Callable[[str], Any], tmp_path: Path
) -> None:
    settings = Settings(database_url=doors.database(wrong("another authority")()))
    services = {name: _service(name, settings, tmp_path) for name in ("scheduler", "worker")}
    for name, service in services.items():
        assert service.wait(60) == 3
        (line,) = (tmp_path / f"{name}.log").read_text().splitlines()[-1:]
        assert line.startswith("error: ") and "certificate" in line
        assert "Traceback" not in (tmp_path / f"{name}.log").read_text()


@pytest.mark.slow
def test_a_worker_waits_for_a_broker_with_the_right_certificate(
    doors: Doors, wrong: Callable[[str], Any], authority: Authority, tmp_path: Path
) -> None:
    settings = Settings(
        database_url=doors.database(authority.issue("127.0.0.1")),
        broker_url=doors.broker(wrong("another host")()),
        **{name: str(tmp_path / name) for name in ("storage", "logs", "cache")},
    )
    service, log = _service("worker", settings, tmp_path), tmp_path / "worker.log"
    try:
        until(lambda: "certificate" in log.read_text())
        time.sleep(3.0)
        assert service.poll() is None
    finally:
        service.terminate()
        service.wait(30)
    assert "Traceback" not in log.read_text()
    assert "ready for jobs" not in log.read_text()
    assert doors.fronts[1].relayed == 0


@pytest.mark.parametrize(
    "argument", ["ssl_cert_reqs=none", "ssl_cert_reqs=CERT_OPTIONAL", "ssl_check_hostname=false"]
)
def test_a_url_that_turns_the_check_off_is_refused(argument: str) -> None:
    with pytest.raises(SettingsError, match=f"broker_url: {argument.partition('=')[0]}"):
        queue.celery_app(Settings(broker_url=f"rediss://127.0.0.1:1/0?{argument}"))
