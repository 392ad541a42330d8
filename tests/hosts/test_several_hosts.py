"""Several hosts: the network between them fails, hosts die, clocks differ, versions change."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libfaketime
import pytest
import sqlalchemy as sa
from support.fits import SETTINGS, assert_equal, small_job, write_series
from support.hosts import Host, Servers, can_make_namespaces, hosts
from support.servers import Postgres, Valkey, free_port
from support.waiting import until

import fitfleet as ff
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope
from fitfleet.db.fleet import workers
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.spec.versions import number_of

JOBS, LAST = 180, 30  # the last ones are submitted once each host and version is there
CUT_S = 2 * SETTINGS["lease_s"]
NEWER = "0.2.0"


class Site:
    """The services on some hosts, over one database, one broker and one storage."""

    def __init__(self, folder: Path, servers: Servers, hosts: dict[str, Host]) -> None:
        self.folder, self.servers, self.hosts = folder, servers, hosts
        (folder / "storage").mkdir()
        self._api = f"{servers.address}:{free_port()}"
        self._settings = {
            host.name: Settings(
                **{**SETTINGS, **host.urls},
                storage=str(folder / "storage"),
                logs=str(folder / "logs"),
                cache=str(folder / f"cache-{host.name}"),
                programs=str(folder / f"programs-{host.name}"),
                threads=1,
            )
            for host in hosts.values()
        }
        settings = next(iter(self._settings.values()))
        self.database = Database(settings.database_url)
        self.database.upgrade()
        self.fleet = ff.Fleet(settings, self.database)

    def start(
        self, host: str, name: str, *arguments: str, **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start `fitfleet NAME` on a host."""
        environment = {**self._settings[host].to_environment(), **variables}
        log = self.folder / f"{name}-{host}.log"
        command = [sys.executable, "-m", "fitfleet", name, *arguments]
        return self.hosts[host].start(log, environment, *command)

    def serve_api(self) -> None:
        """Start the HTTP API on the host of the servers."""
        certificate = str(self.servers.certificate)
        self.start("a", "api", "--listen", self._api, "--certificate", certificate)
        log = self.folder / "api-a.log"
        until(lambda: "a host joins with" in log.read_text())

    def join(self, host: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a worker on a host that knows the address of the API and has a token."""
        with self.database.begin() as c:
            token = tokens.create(c, host, Scope.WORK)
        variables |= {"FITFLEET_TOKEN": token, "FITFLEET_CA_FILE": str(self.servers.ca)}
        log = self.folder / f"join-{host}.log"
        command = [sys.executable, "-m", "fitfleet", "join", f"https://{self._api}"]
        return self.hosts[host].start(log, variables, *command, "--threads", "1")

    def until_slots(self, count: int) -> None:
        """Wait until so many slots are up."""

        def are_up() -> bool:
            with self.database.read() as c:
                return len(workers.live(c, SETTINGS["lease_s"])) >= count

        until(are_up, timeout_s=300)

    def until_version(self, release: str) -> None:
        """Wait until a slot of this version of fitfleet is up."""

        def is_up() -> bool:
            with self.database.read() as c:
                slots = workers.live(c, SETTINGS["lease_s"])
            return any(slot["version"] == number_of(release) for slot in slots)

        until(is_up, timeout_s=300)

    def until_done(self, count: int) -> None:
        """Wait until so many jobs have succeeded. Fails with the jobs and the services' logs."""
        try:
            until(lambda: self.statuses().count("SUCCEEDED") >= count, timeout_s=600)
        except AssertionError as error:
            with self.database.read() as c:
                query = "SELECT id, status, attempt, owner, sent_to, dispatch_seq FROM jobs"
                rows = "\n".join(map(str, c.execute(sa.text(query)).all()))
            raise AssertionError(f"{error}:\n{rows}\n{self.logs()}") from None

    def statuses(self) -> list[str]:
        """Of all jobs."""
        return self._column("status")

    def workers(self) -> set[str]:
        """Which slots ran them."""
        return set(self._column("worker"))

    def _column(self, name: str) -> list[str]:
        with self.database.read() as c:
            return list(c.scalars(sa.text(f"SELECT {name} FROM runs")))

    def logs(self) -> str:
        """The last of what each service has printed."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in paths)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Valkey]]:
    """PostgreSQL that keeps what it has answered, and a Valkey with a password."""
    postgres = Postgres(synchronous_commit="on")
    valkey = Valkey(tmp_path_factory.mktemp("valkey"), password="s3cret")
    try:
        postgres.start()
        valkey.start()
        yield postgres, valkey
    finally:
        valkey.stop()
        postgres.remove()


def _jobs(folder: Path, count: int) -> list[dict[str, Any]]:
    series = write_series(folder / "series.h5")
    return [small_job(series, seed=seed, epochs=4, fuse=False) for seed in range(count)]


def _undisturbed(folder: Path, jobs: list[dict[str, Any]]) -> list[ff.Job]:
    """The same jobs on one host, as nothing happens to it; their files stay."""
    with ff.local(2, folder / "undisturbed", threads=1) as fleet:
        handles = fleet.submit_many(jobs)
        fleet.wait(handles, timeout_s=600, raise_on_failure=True)
        return handles


def _clock(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is off; what it measures time with is not."""
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+d}",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _newer_release(folder: Path) -> dict[str, str]:
    """The environment in which Python finds this code as the next minor version."""
    shutil.copytree(Path(ff.__file__).parent, folder / "fitfleet")
    metadata = folder / f"fitfleet-{NEWER}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fitfleet\nVersion: {NEWER}\n")
    # Else `python -m` finds the checkout in the working directory first.
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(180) == 0


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_jobs_end_once_and_equal_over_partitions_deaths_clocks_and_an_upgrade(
    servers: tuple[Postgres, Valkey], tmp_path: Path
) -> None:
    """Database, broker, API and a scheduler on host a, a scheduler on b, workers on b, c and d.

    The clock of b is five minutes slow, that of c five minutes fast. Host d joins by the API.
    """
    jobs = _jobs(tmp_path, JOBS)
    straight = _undisturbed(tmp_path, jobs)
    newer = _newer_release(tmp_path / "newer")
    namespaces = can_make_namespaces()
    with hosts(tmp_path, *servers, "abcd", namespaces=namespaces) as made:
        site = Site(tmp_path, *made)
        first = site.start("a", "scheduler")
        site.start("b", "scheduler", **_clock(-300))
        second = site.start("b", "worker", **_clock(-300))
        site.start("c", "worker", **_clock(300))
        site.serve_api()
        assert site.join("d", **_clock(300)).wait(180) == 3
        assert "clock: the database's clock differs" in (tmp_path / "join-d.log").read_text()
        site.join("d")
        site.until_slots(3)
        handles = site.fleet.submit_many(jobs[:-LAST])
        try:
            _disturb(site, first, second, newer)
            handles += site.fleet.submit_many(jobs[-LAST:])
            site.fleet.wait(handles, timeout_s=900)
        except (AssertionError, ff.FitfleetError) as error:
            pytest.fail(f"{error}\n{site.logs()}")
        assert site.statuses() == ["SUCCEEDED"] * JOBS
        for handle, undisturbed in zip(handles, straight, strict=True):
            assert_equal(handle, undisturbed)
        assert any(len(handle.attempts) > 1 for handle in handles), "no fault struck a job"
        assert len(site.workers()) >= 4, "all hosts and versions took part"
        site.fleet.close()


def _disturb(
    site: Site,
    scheduler: subprocess.Popen[bytes],
    worker: subprocess.Popen[bytes],
    newer: dict[str, str],
) -> None:
    site.until_done(10)
    _cut(site.hosts["c"])  # a worker for twice its lease
    site.until_done(40)
    _cut(site.hosts["b"])  # a worker and a scheduler
    site.until_done(70)
    site.hosts["d"].kill()
    site.until_done(90)
    site.hosts["d"].heal()
    site.join("d")
    # Services are replaced one by one, while the other ones of the old version run on.
    _end(scheduler)
    site.start("a", "scheduler", **newer)
    site.until_done(110)
    _end(worker)
    site.start("b", "worker", **newer, **_clock(-300))
    site.until_version(NEWER)


def _cut(host: Host) -> None:
    host.cut()
    time.sleep(CUT_S)
    host.heal()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_host_behind_relays_is_cut_off_and_comes_back(
    servers: tuple[Postgres, Valkey], tmp_path: Path
) -> None:
    jobs = _jobs(tmp_path, 6)
    straight = _undisturbed(tmp_path, jobs)
    with hosts(tmp_path, *servers, "ab", namespaces=False) as made:
        site = Site(tmp_path, *made)
        site.start("a", "scheduler")
        site.start("b", "worker")
        site.until_slots(1)
        handles = site.fleet.submit_many(jobs)
        site.until_done(1)
        site.hosts["b"].cut()
        # Its job is taken back when its lease is over; the other worker fits them all.
        site.start("a", "worker")
        site.until_done(6)
        site.hosts["b"].heal()
        for handle, undisturbed in zip(handles, straight, strict=True):
            assert_equal(handle, undisturbed)
        site.fleet.close()
