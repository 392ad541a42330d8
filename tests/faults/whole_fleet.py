"""A fleet of services as on several machines: PostgreSQL, Valkey, a scheduler, a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faultpoint_markers import Faults
from support.fits import SETTINGS, small_job
from support.servers import Postgres, Valkey, die_with_parent
from support.waiting import until

import fitfleet as ff
from fitfleet.db.fleet import workers
from fitfleet.db.session import Database
from fitfleet.settings import Settings

OWN_CODE: dict[str, Any] = {
    "trusted_modules": ["costly_layers"],
    "module_path": [str(Path(__file__).parent / "own_code")],
}
PAUSED_EPOCHS = 60


class WholeFleet:
    """The services can be killed one by one. Jobs are submitted with `client`."""

    def __init__(self, folder: Path, postgres: Postgres, valkey: Valkey, **changes: Any) -> None:
        self.folder, self.postgres, self.valkey = folder, postgres, valkey
        self.faults = Faults(folder / "faults")
        self._pace = folder / "pace"
        self._variables = {
            "FITFLEET_FAULT": self.faults.setting,
            "OBSTACLES_PACE": str(self._pace),
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        given = {
            **SETTINGS,
            **OWN_CODE,
            "database_url": postgres.url(postgres.create_database()),
            "broker_url": valkey.url,
            "storage": str(folder / "storage"),
            "logs": str(folder / "logs"),
            "cache": str(folder / "cache"),
            "queue": "main",
            **changes,
        }
        self.settings = Settings.load(given)
        self.database = Database(self.settings.database_url)
        self.database.upgrade()
        self.client = ff.Fleet(self.settings, self.database)

    def start(
        self,
        name: str,
        *arguments: str,
        settings: Settings | None = None,
        inside: Sequence[str] = (),
    ) -> subprocess.Popen[bytes]:
        """Start `fitfleet scheduler` or `fitfleet worker`; `inside` is a command that runs it."""
        settings = settings or self.settings
        command = [*inside, sys.executable, "-m", "fitfleet", name, *arguments]
        with (self.folder / f"{name}-{settings.queue}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self._variables, **settings.to_environment()},
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self._processes[f"{name}-{settings.queue}"] = process
        return process

    def kill(self, name: str) -> None:
        """SIGKILL to a service."""
        process = self._processes.pop(f"{name}-{self.settings.queue}")
        process.kill()
        process.wait()

    @property
    def worker_pid(self) -> int:
        """Process id of the worker service."""
        return self._processes[f"worker-{self.settings.queue}"].pid

    def until_workers(self, count: int) -> None:
        """Wait until so many slots are up."""

        def are_up() -> bool:
            with self.database.read() as c:
                return len(workers.live(c, self.settings.lease_s)) >= count

        until(are_up)

    def pace(self, batch_s: float) -> None:
        """Let every batch of a `paused_job` take so long."""
        self._pace.write_text(str(batch_s))

    def log(self, job: ff.Job) -> str:
        """What the first attempt of a job has printed so far; does not ask the database."""
        return (Path(self.settings.logs) / str(job.id) / "attempt-1.log").read_text()

    def close(self) -> None:
        """Drain the workers, end the services."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.client.close()


def paused_job(series: Path, **changes: Any) -> dict[str, Any]:
    """`small_job`, but how long it takes is in the hand of the test: see `WholeFleet.pace`."""
    job = {"batch_size": 24, "epochs": PAUSED_EPOCHS, **changes}
    return small_job(series, **{"model": with_own_layer("Pause"), **job})


def with_own_layer(name: str, **config: Any) -> dict[str, Any]:
    """The model of `small_job`, a layer of `costly_layers` before it."""
    reference = {
        "module": "costly_layers",
        "registered_name": f"costly_layers>{name}",
        "config": config,
    }
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 3]}},
        {"class_name": name, **reference},
        {"class_name": "LSTM", "config": {"units": 6, "dropout": 0.2}},
        {"class_name": "Dropout", "config": {"rate": 0.1}},
        {"class_name": "Dense", "config": {"units": 1}},
    ]
    for layer in layers:
        layer.setdefault("module", "keras.layers")
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": layers},
    }
