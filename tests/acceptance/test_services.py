"""The compose file's own commands, as processes: PostgreSQL and Valkey over TCP with a password,
the migrations, one scheduler, three workers."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import psycopg
import pytest
import redis
from compose import PASSWORD, Compose
from support.servers import Postgres
from support.waiting import until
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app

WORKERS = 3


@pytest.fixture(scope="module")
def compose(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Postgres
) -> Iterator[Compose]:
    """All services are up."""
    name = postgres_server.create_database()
    compose = Compose(tmp_path_factory.mktemp("compose"), postgres_server.url(name))
    with ExitStack() as stack:
        stack.callback(postgres_server.drop_database, name)
        stack.enter_context(compose.up("valkey"))
        wait_for_valkey(compose.valkey_port)
        compose.run("migrate")
        stack.enter_context(compose.up("scheduler"))
        for number in range(WORKERS):
            stack.enter_context(compose.up("worker", number))
        yield compose


def wait_for_valkey(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with redis.Redis(port=port, password=PASSWORD) as client:
                client.ping()
            return
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_the_health_check_tells_a_worker_that_works_from_one_that_hangs(compose: Compose) -> None:
    with connect(compose) as fleet:
        wait_for_workers(fleet)
    until(lambda: compose.is_healthy("worker", 0))
    worker = compose.processes["worker", 0]
    worker.send_signal(signal.SIGSTOP)
    try:
        assert not compose.is_healthy("worker", 0)
        assert compose.is_healthy("worker", 1)
    finally:
        worker.send_signal(signal.SIGCONT)


def connect(compose: Compose) -> ff.Fleet:
    settings = compose.environment("scheduler")
    return ff.connect(
        settings["FITFLEET_DATABASE_URL"],
        settings["FITFLEET_BROKER_URL"],
        settings["FITFLEET_STORAGE"],
        data_root=settings["FITFLEET_DATA_ROOT"],
    )


@pytest.mark.slow
def test_jobs_of_a_script_are_fitted_by_three_services(
    compose: Compose, digits: Path, job: dict[str, Any]
) -> None:
    (compose.folder / "data" / "digits.h5").write_bytes(digits.read_bytes())
    with connect(compose) as fleet:
        wait_for_workers(fleet)
        jobs = fleet.submit_many(
            {**job, "dataset": "digits.h5", "seed": seed, "params": {"seed_of": seed}}
            for seed in range(6)
        )
        try:
            fleet.wait(jobs, timeout_s=200, raise_on_failure=True)
        except ff.FitfleetError as error:
            pytest.fail(f"{error}\n{compose.logs()}")
        table = fleet.compare("digits")
        assert len(table) == 6
        assert list(table["val_loss"]) == sorted(table["val_loss"])
        assert fleet.best("digits").weights()
        workers = {attempt["worker"] for handle in jobs for attempt in handle.attempts}
        assert len(workers) <= WORKERS
    no_password(compose)


def wait_for_workers(fleet: ff.Fleet) -> None:
    deadline = time.monotonic() + 60
    while True:
        with fleet.database.read() as c:
            slots = c.exec_driver_sql(
                "SELECT COUNT(*) FROM workers WHERE ended_at IS NULL"
            ).scalar()
        if slots == WORKERS:
            return
        assert time.monotonic() < deadline, f"{slots} of {WORKERS} workers are up"
        time.sleep(0.1)


def no_password(compose: Compose) -> None:
    """Both servers refuse who has no password."""
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=compose.valkey_port).ping()
    url = urlsplit(compose.postgres_url)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=url.hostname, port=url.port, user=url.username, dbname=url.path[1:])


def test_no_log_row_file_output_or_process_title_holds_a_password(
    compose: Compose, digits: Path, job: dict[str, Any], postgres_server: Postgres
) -> None:
    """Nor does what workers and scheduler say while both servers refuse them, and a failed job."""
    (compose.folder / "data" / "digits.h5").write_bytes(digits.read_bytes())
    _write_flat(compose.folder / "data" / "flat.npz", 1.0)
    flat = {"model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]), "loss": "mse"}
    with connect(compose) as fleet:
        wait_for_workers(fleet)
        fleet.submit(**flat, dataset="flat.npz", experiment="held")
        fleet.pause("held")
        fleet.submit(**flat, dataset="flat.npz", experiment="held", seed=1)
        _write_flat(compose.folder / "data" / "flat.npz", 2.0)
        long = fleet.submit(**{**job, "epochs": 3000, "dataset": "digits.h5", "seed": 9})
        until(lambda: long.refresh().status is ff.JobStatus.RUNNING)
        _refuse_all(compose, postgres_server)
        fleet.resume("held")
        failed = fleet.jobs("held")[-1]
        until(lambda: failed.refresh().status is ff.JobStatus.FAILED, timeout_s=120)
        assert failed.error is not None and failed.error.traceback, "with its traceback"
        long.cancel()
        until(lambda: long.refresh().status is ff.JobStatus.CANCELLED, timeout_s=120)
        handles = [failed, long]
        shown = [repr(fleet), repr(fleet.settings), repr(handles), repr([j.error for j in handles])]
    texts = {
        **{path: path.read_bytes() for path in compose.folder.rglob("*") if path.is_file()},
        **_titles(),
        **_outputs(compose, [str(handle.id) for handle in handles]),
        **_rows(compose),
        "representations": "".join(shown).encode(),
    }
    assert b"password authentication failed" in b"".join(texts.values()), "it was refused"
    secrets = (PASSWORD, str(urlsplit(compose.postgres_url).password))
    holders = [name for name, text in texts.items() for s in secrets if s.encode() in text]
    assert holders == []


def _write_flat(path: Path, value: float) -> None:
    np.savez(path, x=np.full((8, 4), value), y=np.zeros((8, 1)))


def _refuse_all(compose: Compose, server: Postgres) -> None:
    """Both servers cut every connection, and know another password for a moment."""
    broker = redis.Redis(port=compose.valkey_port, password=PASSWORD)
    role = "ALTER ROLE fitfleet PASSWORD '{}'"
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with psycopg.connect(server.url(), autocommit=True) as administrator:
        try:
            broker.config_set("requirepass", "another")
            administrator.execute(role.format("another"))
            administrator.execute(f"{cut} AND datname IS NOT NULL")
            broker.client_kill_filter(_type="normal", skipme=True)
            broker.client_kill_filter(_type="pubsub")
            time.sleep(3)
        finally:
            administrator.execute(role.format(server.password))
            broker.config_set("requirepass", PASSWORD)
            broker.close()


def _titles() -> dict[str, bytes]:
    """Of every process that was started here, as any user of the machine sees them."""
    titles = {}
    for process in psutil.Process().children(recursive=True):
        for name in ("cmdline", "comm"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                title = Path(f"/proc/{process.pid}/{name}").read_bytes()
                titles[f"{name} of {process.pid}"] = title
    assert len(titles) > 2 * (WORKERS + 2)
    return titles


def _outputs(compose: Compose, job_ids: list[str]) -> dict[str, bytes]:
    commands = ["ps", "ps --json", "workers", "settings", "settings --json", "doctor", "du"]
    commands += ["gc --dry-run", "compare held", "compare digits"]
    for number in job_ids:
        commands += [f"{name} {number}" for name in ("show", "show --json", "why", "logs")]
    environment = compose.environment("scheduler")
    results = {line: CliRunner().invoke(app, line.split(), env=environment) for line in commands}
    return {
        line: f"{result.output}{result.exception!r}".encode() for line, result in results.items()
    }


def _rows(compose: Compose) -> dict[str, bytes]:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    with psycopg.connect(compose.postgres_url) as connection:
        names = [name for (name,) in connection.execute(query).fetchall()]
        assert "jobs" in names and "runs" in names
        return {
            name: repr(connection.execute(f'SELECT t::text FROM "{name}" t').fetchall()).encode()
            for name in names
        }
