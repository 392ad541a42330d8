"""docker-compose.yml keeps to the compose specification and to what its guide promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fitfleet.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
OURS = ["migrate", "scheduler", "api", "worker", "worker-gpu"]


def test_the_file_keeps_to_the_schema_of_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema"]
    check = subprocess.run(
        [*command, "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_override_of_the_guide_keeps_to_the_schema_too(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "how-to" / "docker-compose.md").read_text(encoding="utf-8")
    (override,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    file = tmp_path / "docker-compose.override.yml"
    file.write_text(override, encoding="utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    check = subprocess.run([*command, str(file)], capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
    assert set(yaml.safe_load(override)["services"]) <= set(SERVICES)


@pytest.mark.parametrize("service", ["worker", "worker-gpu"])
def test_workers_find_trusted_modules_where_the_code_is_mounted(service: str) -> None:
    path = SERVICES[service]["environment"]["FITFLEET_MODULE_PATH"]
    assert f"${{CODE:-./code}}:{path}:ro" in SERVICES[service]["volumes"]


@pytest.mark.parametrize("service", OURS)
def test_every_setting_that_it_names_exists(service: str) -> None:
    known = {f"FITFLEET_{name.upper()}" for name, _, _ in Settings.table()}
    assert set(SERVICES[service]["environment"]) <= known


@pytest.mark.parametrize("service", OURS)
def test_images_are_built_from_stages_that_the_dockerfile_has(service: str) -> None:
    build = SERVICES[service]["build"]
    stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / build["dockerfile"]).read_text(), re.M)
    assert build["target"] in stages


def test_workers_can_be_scaled() -> None:
    for service in ("worker", "worker-gpu"):
        assert not {"container_name", "ports", "hostname"} & set(SERVICES[service])


def test_only_the_gpu_profile_reserves_a_gpu() -> None:
    reserved = [name for name, service in SERVICES.items() if "deploy" in service]
    assert reserved == ["worker-gpu"]
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    devices = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]


def test_migrations_end_before_anything_uses_the_tables() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    for service in ("scheduler", "api", "worker", "worker-gpu"):
        needs = SERVICES[service]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"
        assert needs["valkey"]["condition"] == "service_healthy"


def test_services_that_stay_are_watched() -> None:
    staying = set(SERVICES) - {"migrate"}
    assert {name for name, service in SERVICES.items() if "healthcheck" in service} == staying


@pytest.mark.parametrize("service", ["api", "worker", "worker-gpu"])
def test_a_health_check_asks_the_probes_that_its_service_serves(service: str) -> None:
    arguments = SERVICES[service]["command"]
    port = arguments[arguments.index("--metrics") + 1].rpartition(":")[2]
    *program, check = SERVICES[service]["healthcheck"]["test"]
    page = "readyz" if service == "api" else "healthz"
    assert program == ["CMD", "python", "-c"]
    assert f"'http://127.0.0.1:{port}/{page}'" in check


def test_the_scheduler_is_watched_by_the_exit_code_of_doctor() -> None:
    assert SERVICES["scheduler"]["healthcheck"]["test"] == ["CMD", "fitfleet", "doctor"]


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for secret in ("POSTGRES_PASSWORD", "VALKEY_PASSWORD"):
        uses = re.findall(rf"\$\{{{secret}(\S*)", text)
        assert uses and all(use.startswith(":?") for use in uses)
        assert f"\n{secret}=\n" in example


def test_every_variable_is_explained_in_the_example_file() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    explained = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    assert used == explained


def test_ports_are_open_to_this_host_only_but_that_of_the_api_which_has_tls() -> None:
    assert {"--certificate", "--key"} <= set(SERVICES["api"]["command"])
    for service in (service for name, service in SERVICES.items() if name != "api"):
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
