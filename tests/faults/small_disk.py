"""A worker service with storage and logs on small disks of its own, which no other process sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.waiting import until
from whole_fleet import WholeFleet

import fitfleet as ff

_UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
_MOUNT = 'for disk in "$0/storage" "$0/logs"; do mount -t tmpfs -o size=2m tmpfs "$disk"; done'
# A worker starts on the fleet's storage alone, which the others have marked.
_MARK = 'cp "$0/../storage/.fleet-id" "$0/storage"'


def can_mount() -> bool:
    """Whether this user may mount file systems in a name space of his own."""
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    command = [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir()]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class SmallDisk:
    """Its worker serves the queue `small`."""

    def __init__(self, whole: WholeFleet) -> None:
        folder = whole.folder / "small"
        for name in ("storage", "logs"):
            (folder / name).mkdir(parents=True)
        settings = whole.settings.replace(
            storage=str(folder / "storage"), logs=str(folder / "logs"), queue="small"
        )
        inside = [*_UNSHARE, "sh", "-e", "-c", f'{_MOUNT}; {_MARK}; exec "$@"', str(folder)]
        process = whole.start("worker", "--slots", "1", settings=settings, inside=inside)
        self._pid, self._storage = process.pid, settings.storage
        # The disks as they are seen from outside of the name space.
        seen = {
            name: f"/proc/{process.pid}/root{getattr(settings, name)}"
            for name in ("storage", "logs")
        }
        self._disks = [Path(path) for path in seen.values()]
        self.client = ff.Fleet(settings.replace(**seen), whole.database)
        whole.until_workers(3)

    def fill(self) -> None:
        """Leave no room, but for the beginning of a file."""
        for disk in self._disks:
            free = os.statvfs(disk)
            (disk / "filling").write_bytes(bytes(free.f_bavail * free.f_frsize - 8192))

    def clear(self) -> None:
        """Give the room back."""
        for disk in self._disks:
            (disk / "filling").unlink()

    def lock(self) -> None:
        """Make the storage read-only."""
        until(lambda: self._is_mounted_as("ro"))  # not while a file is written

    def unlock(self) -> None:
        """Let the storage be written again."""
        assert self._is_mounted_as("rw")

    def _is_mounted_as(self, mode: str) -> bool:
        enter = ["nsenter", "-t", str(self._pid), "--user", "--preserve-credentials", "--mount"]
        command = [*enter, "mount", "-o", f"remount,bind,{mode}", self._storage]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
