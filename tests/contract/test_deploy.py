"""The files that an admin installs: units that start what there is, roles with least rights."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
import yaml
from support.rows import insert, new_job, take
from support.servers import Postgres
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.db.session import Database
from fitfleet.settings import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = DEPLOY.parent / "docker" / "Dockerfile"


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
        owner.execute("DROP OWNED BY fitfleet_service, fitfleet_reader, fitfleet_host")
    for role in ("fitfleet_service", "fitfleet_reader", "fitfleet_host"):
        postgres_server.execute(f"DROP ROLE {role}")


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
        for refused in ("SELECT * FROM job_specs", "DELETE FROM jobs", "SELECT * FROM fleet_keys"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(refused)


def _manifests(folder: Path) -> list[dict[str, Any]]:
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    here = {name for name in named if not name.startswith("../")}
    assert {*here, "kustomization.yaml"} == {path.name for path in folder.iterdir()}
    return [
        manifest
        for name in sorted(here)
        for manifest in yaml.safe_load_all((folder / name).read_text())
    ]


def _pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    specs = [manifest.get("spec", {}) for manifest in manifests]
    owners = [spec.get("jobTargetRef", spec) for spec in specs]
    return [owner["template"] for owner in owners if "template" in owner]


MANIFESTS = _manifests(KUBERNETES)
SCALED = _manifests(DEPLOY / "keda")
PODS = [*_pods(MANIFESTS), *_pods(SCALED)]


def _part(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["part"])


@pytest.mark.parametrize("pod", PODS, ids=_part)
def test_a_pod_runs_a_command_that_there_is(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    program, *arguments = container["args"]
    assert program == "fitfleet"
    words = arguments[: 2 if arguments[0] == "db" else 1]
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    assert all(option in done.output for option in arguments if option.startswith("--"))
    images = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]
    targets = re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert container["image"] in {image["name"] for image in images}
    assert container["image"].removeprefix("fitfleet-") in targets


@pytest.mark.parametrize("pod", PODS, ids=_part)
def test_a_pod_has_what_it_refers_to(pod: dict[str, Any]) -> None:
    (container,) = pod["spec"]["containers"]
    kinds = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in MANIFESTS}
    assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in kinds
    assert container["envFrom"][1]["secretRef"]["name"] == "fitfleet-urls"
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    assert {m["name"] for m in container.get("volumeMounts", [])} == set(volumes)
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        assert claim is None or ("PersistentVolumeClaim", claim) in kinds
    ports = {port["name"]: str(port["containerPort"]) for port in container.get("ports", [])}
    probes = [container[name]["httpGet"] for name in container if name.endswith("Probe")]
    assert all(probe["path"] in ("/healthz", "/readyz") for probe in probes)
    if _part(pod) != "migrate":
        address = container["args"][container["args"].index("--metrics") + 1]
        assert address == f"0.0.0.0:{ports['metrics']}" and len(probes) >= 2
        assert pod["metadata"]["annotations"]["prometheus.io/port"] == ports["metrics"]


def test_the_settings_of_pods_are_settings() -> None:
    (shared,) = (manifest["data"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
    names = {f"FITFLEET_{name.upper()}" for name, _, _ in Settings.table()}
    assert set(shared) <= names
    for pod in PODS:
        if _part(pod).startswith("worker"):
            grace_s = pod["spec"]["terminationGracePeriodSeconds"]
            assert grace_s >= 2 * float(shared["FITFLEET_DRAIN_S"])


def test_every_deployment_is_selected_by_its_labels_and_its_budget() -> None:
    deployments = [manifest for manifest in MANIFESTS if manifest["kind"] == "Deployment"]
    budgets = {
        manifest["metadata"]["name"]: manifest["spec"]["selector"]
        for manifest in MANIFESTS
        if manifest["kind"] == "PodDisruptionBudget"
    }
    assert len(deployments) == 4
    for manifest in deployments:
        selector = manifest["spec"]["selector"]
        assert selector["matchLabels"] == manifest["spec"]["template"]["metadata"]["labels"]
        assert budgets[manifest["metadata"]["name"]] == selector


@pytest.mark.parametrize("manifest", SCALED, ids=lambda manifest: manifest["kind"])
def test_keda_takes_the_manifest(manifest: dict[str, Any]) -> None:
    """By the schemas of KEDA's own resources, the pod's template aside, which is tested above."""
    schemas = json.loads(Path(__file__).with_name("keda.json").read_text())
    jsonschema.validate(manifest, schemas[manifest["kind"]])
    assert manifest["apiVersion"] == "keda.sh/v1alpha1"


def test_keda_replaces_the_deployment_that_there_is() -> None:
    (scaled,) = (manifest for manifest in SCALED if manifest["kind"] == "ScaledJob")
    patches = yaml.safe_load((DEPLOY / "keda" / "kustomization.yaml").read_text())["patches"]
    removed = [yaml.safe_load(entry["patch"]) for entry in patches]
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in MANIFESTS}
    assert {(entry["kind"], entry["metadata"]["name"]) for entry in removed} <= there
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in SCALED}
    (trigger,) = scaled["spec"]["triggers"]
    assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in names
    arguments = scaled["spec"]["jobTargetRef"]["template"]["spec"]["containers"][0]["args"]
    assert "--exit-when-idle" in arguments


def test_a_reader_counts_the_jobs_that_pods_are_made_for(roles: str) -> None:
    (scaled,) = (manifest for manifest in SCALED if manifest["kind"] == "ScaledJob")
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    with _as(roles, "fitfleet_reader") as reader:
        assert reader.execute(query).fetchone() == (0,)
        database = Database(roles)
        insert(database, new_job("a"), new_job("b"), new_job("c", queue="gpu"))
        assert len(take(database)) == 1
        assert reader.execute(query).fetchone() == (2,)
        database.dispose()
