"""The record of a background fleet in a folder: one process, which runs it between scripts.

The process (background_process.py) holds a lock for as long as it lives, so that a record left
behind by one that was killed is known as such. Scripts that join or replace it take turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fitfleet.errors import FitfleetError, SettingsError, StorageError
from fitfleet.settings import Settings
from fitfleet.text import DURATIONS, duration_s

_POLL_S = 0.02
# Beyond the drain's time, for its processes to end.
_END_S = 15.0


@dataclass(frozen=True)
class Record:
    """The record of a background fleet."""

    pid: int
    version: str = ""
    workers: int = 0
    keep_s: float = 0.0  # idle time without a script after which it ends
    setup_hash: str = ""
    started_at: float = 0.0  # seconds since the epoch
    drain_s: float = 10.0


_FIELDS = [field.name for field in dataclasses.fields(Record)]


class Stay:
    """The fleet that stays in a folder, if there is one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._folder = self.directory / "stay"
        self._record = self._folder / "fleet.json"
        self._life = self._folder / "life.lock"
        self._used = self._folder / "used"
        self.log = self._folder / "fleet.log"
        self._held: IO[str]  # the lock, in the fleet's own process

    def read(self) -> Record | None:
        """Its record while it is up, or None."""
        if not self.is_up():
            return None
        try:
            document = json.loads(self._record.read_text(encoding="utf-8"))
            # Another version may have more or fewer fields.
            return Record(**{name: document[name] for name in _FIELDS if name in document})
        except (OSError, ValueError, TypeError):
            return None  # it is starting

    def is_up(self) -> bool:
        """Whether its process is alive."""
        try:
            with self._life.open("r") as file:
                return not _locks(file.fileno(), fcntl.LOCK_SH)
        except OSError:
            return False

    def use(self) -> None:
        """Something runs, or a script is there."""
        self._used.touch()

    def idle_s(self) -> float:
        """Seconds since it was last used."""
        try:
            return max(0.0, time.time() - self._used.stat().st_mtime)
        except OSError:
            return 0.0

    def write(self, record: Record) -> None:
        """Publish the record; what is to change of it must be changed in one's turn."""
        draft = self._record.with_name(f".{self._record.name}.{os.getpid()}")
        draft.write_text(json.dumps(dataclasses.asdict(record)), encoding="utf-8")
        os.replace(draft, self._record)

    def live(self) -> None:
        """Be the fleet's process, until it has gone. FitfleetError while another is."""
        self._held = self._life.open("w")
        deadline = time.monotonic() + 1.0  # others hold the lock while they look at it
        while not _locks(self._held.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise FitfleetError(f"{self._folder}: another background fleet runs here")
            time.sleep(_POLL_S)
        self._record.unlink(missing_ok=True)  # of one that was killed

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """One process at a time joins, starts or ends the fleet; StorageError without a folder."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self._folder / "turn.lock").open("w")
        except OSError as error:
            raise StorageError(
                f"{self._folder}: cannot be written ({error.strerror}); choose another directory"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def start(self, settings: Settings, workers: int, keep_s: float, setup_hash: str) -> Record:
        """Start it, and wait until it is there. FitfleetError, with what it said, if it ends."""
        request = {
            "directory": str(self.directory),
            "settings": dataclasses.asdict(settings),
            "workers": workers,
            "keep_s": keep_s,
            "setup_hash": setup_hash,
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fitfleet.embedded.background_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        with process:  # it leaves the fleet's process behind, which is no child of this one
            assert process.stdin is not None and process.stdout is not None
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(json.dumps(request).encode())
            is_there = bool(process.stdout.readline())
        record = self.read() if is_there else None
        if record is None:
            raise FitfleetError(
                f"the fleet does not start: {self.last_log_line()}; its log is {self.log}"
            )
        return record

    def last_log_line(self) -> str:
        """The last line of its log."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else "it said nothing"
        return "it said nothing"

    def end(self) -> bool:
        """Drain it, and wait until it is gone; False if there is none."""
        record = self.read()
        if record is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, signal.SIGTERM)
        deadline = time.monotonic() + record.drain_s + _END_S
        while self.is_up() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if self.is_up():  # its workers see that it is gone, and end as well
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGKILL)
        return True


def seconds_of(keep: str | float) -> float:
    """`90`, `"90s"`, `"30m"`, `"1h"`, `"2d"` in seconds. SettingsError for anything else."""
    seconds = duration_s(keep)
    if seconds is None:
        raise SettingsError(f"keep: {keep!r} is not a duration; give {DURATIONS}")
    return seconds


def _locks(handle: int, how: int) -> bool:
    """Take a lock if no conflicting one is held."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
