"""The files that an admin installs: units that start what there is, roles with least rights."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.rows import insert, new_job, take
from support.servers import Postgres
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.db.session import Database
from fitfleet.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def _unit(path: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser["Service"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_there_is(path: Path) -> None:
    program, *arguments = shlex.split(_unit(path)["ExecStart"].replace("%i", "cpu"))
    assert program.endswith("/bin/fitfleet")
    done = CliRunner().invoke(app, [arguments[0], "--help"])
    assert done.exit_code == 0
    assert all(option in done.output for option in arguments[1:] if option.startswith("--"))


def test_a_worker_has_time_to_drain() -> None:
    unit = _unit(DEPLOY / "systemd" / "fitfleet-worker@.service")
    assert unit["KillMode"] == "mixed"
    assert float(unit["TimeoutStopSec"]) >= 2 * Settings().drain_s


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_takes_the_unit(path: Path, tmp_path: Path) -> None:
    """Checked by systemd itself where it is installed, its paths made ones that exist."""
    program = shutil.which("systemd-analyze")
    text = path.read_text().replace("/opt/fitfleet/bin/fitfleet", shutil.which("true") or "")
    copy = tmp_path / path.name.replace("@", "@cpu")
    copy.write_text(text)
    command = [program, "verify", "--man=no", str(copy)] if program else ["true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    about = [line for line in done.stderr.splitlines() if copy.name in line]
    assert about == []


def test_the_environment_file_names_settings() -> None:
    lines = (DEPLOY / "systemd" / "fitfleet.env").read_text().splitlines()
    names = [line.split("=")[0] for line in lines if line and not line.startswith("#")]
    known = {f"FITFLEET_{name.upper()}" for name in vars(Settings())}
    assert names and set(names) <= known


@pytest.fixture
def roles(postgres_server: Postgres, postgres_url: str) -> Iterator[str]:
    """URL of a database with the tables and the roles of deploy/postgres/roles.sql."""
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute((DEPLOY / "postgres" / "roles.sql").read_text())
    yield postgres_url
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute("DROP OWNED BY fitfleet_service, fitfleet_reader")
    postgres_server.execute("DROP ROLE fitfleet_service")
    postgres_server.execute("DROP ROLE fitfleet_reader")


@contextmanager
def _as(url: str, role: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}")
        yield connection


def test_a_service_submits_and_claims_but_makes_no_table(roles: str) -> None:
    database = Database(f"{roles}?options=-crole%3Dfitfleet_service")
    insert(database, new_job("a"))
    assert len(take(database)) == 1
    database.dispose()
    with _as(roles, "fitfleet_service") as service:
        for refused in (
            "CREATE TABLE mine (x int)",
            "UPDATE alembic_version SET version_num = '1'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(refused)


def test_a_reader_sees_the_views_and_nothing_behind_them(roles: str) -> None:
    with _as(roles, "fitfleet_reader") as reader:
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        for refused in ("SELECT * FROM job_specs", "DELETE FROM jobs", "SELECT * FROM jobs"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(refused)
