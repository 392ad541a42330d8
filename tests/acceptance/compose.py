"""docker-compose.yml without containers: its commands as processes of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from support.servers import free_port

from fitfleet.embedded.broker import _binary as valkey_server

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
PASSWORD = "compose0test0password"


class Compose:
    """Commands and settings are those of the file. What a container would give is put in place:
    host names become this machine, ports free ones, volumes folders of the test."""

    def __init__(self, folder: Path, postgres_url: str) -> None:
        known = {"POSTGRES_PASSWORD": PASSWORD, "VALKEY_PASSWORD": PASSWORD}
        text = re.sub(
            r"\$\{(\w+)(?::[-?]([^}]*))?\}",
            lambda m: known.get(m[1], m[2] or ""),
            COMPOSE.read_text(encoding="utf-8"),
        )
        self.services: dict[str, Any] = yaml.safe_load(text)["services"]
        self.folder = folder
        self.postgres_url = postgres_url
        self.valkey_port = free_port()
        self.probe_ports: dict[tuple[str, int], int] = {}
        self.processes: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
        (folder / "data").mkdir()

    def environment(self, service: str) -> dict[str, str]:
        """The service's variables, moved to this machine."""
        variables = {k: str(v) for k, v in self.services[service]["environment"].items()}
        if "FITFLEET_DATABASE_URL" in variables:
            variables["FITFLEET_DATABASE_URL"] = self.postgres_url
            variables["FITFLEET_BROKER_URL"] = variables["FITFLEET_BROKER_URL"].replace(
                "@valkey:6379", f"@127.0.0.1:{self.valkey_port}"
            )
        return {
            name: str(self.folder / value[1:]) if value.startswith("/") else value
            for name, value in variables.items()
        }

    def command(self, service: str, number: int = 1) -> list[str]:
        """The service's command; its program is looked up where it is on this machine."""
        program, *arguments = self.services[service]["command"]
        if program == "fitfleet":
            if "--metrics" in arguments:
                port = self.probe_ports.setdefault((service, number), free_port())
                arguments[arguments.index("--metrics") + 1] = f"127.0.0.1:{port}"
            return [sys.executable, "-m", "fitfleet", *arguments]
        bound = ["--bind", "127.0.0.1", "--port", str(self.valkey_port)]
        return [str(valkey_server()), *arguments, *bound, "--dir", str(self.folder)]

    def logs(self) -> str:
        """The last of what each service printed."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in paths)

    def is_healthy(self, service: str, number: int = 1) -> bool:
        """Whether the service's health check ends with 0, as the engine reads it."""
        kind, program, option, script = self.services[service]["healthcheck"]["test"]
        assert (kind, program, option) == ("CMD", "python", "-c")
        port = self.probe_ports[service, number]
        script = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", script)
        check = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120)
        return check.returncode == 0

    def run(self, service: str) -> None:
        """Run a one-shot service to its end."""
        variables = {**os.environ, **self.environment(service)}
        subprocess.run(self.command(service), env=variables, check=True, timeout=60)

    @contextmanager
    def up(self, service: str, number: int = 1) -> Iterator[Path]:
        """A service that stays; gives its log. Ended by SIGTERM, as `docker compose stop` does."""
        log = self.folder / f"{service}-{number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(service, number),
                env={**os.environ, **self.environment(service)},
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            self.processes[service, number] = process
            try:
                yield log
            finally:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    raise
        assert process.returncode == 0, log.read_text()
