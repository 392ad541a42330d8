"""`fitfleet scheduler` and `fitfleet worker` as processes, on a real database and broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from support.servers import die_with_parent
from support.waiting import until

import fitfleet as ff
from fitfleet.db.fleet import workers
from fitfleet.db.session import Database
from fitfleet.settings import Settings


class Services:
    """Started one by one, ended together; each writes a log into the folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self.fleet = ff.Fleet(settings, Database(settings.database_url))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._counts: Counter[str] = Counter()

    def start(self, name: str, *arguments: str) -> int:
        """Start `fitfleet NAME ARGUMENTS`; its process number."""
        self._counts[name] += 1
        command = [sys.executable, "-m", "fitfleet", name, *arguments]
        with (self.folder / f"{name}-{self._counts[name]}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self.settings.to_environment()},
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self._processes.append(process)
        return process.pid

    def process(self, pid: int) -> subprocess.Popen[bytes]:
        """One that was started here."""
        return next(process for process in self._processes if process.pid == pid)

    def until_slots(self, count: int) -> None:
        """Wait until so many slots are up."""

        def are_up() -> bool:
            with self.fleet.database.read() as c:
                return len(workers.live(c, self.settings.lease_s)) >= count

        until(are_up)

    def logs(self) -> str:
        """The last of what each has printed."""
        paths = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in paths)

    def close(self) -> None:
        """Drain the workers, end all."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.fleet.close()
