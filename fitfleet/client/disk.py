"""What a fleet uses of the disk, by experiment, and what its experiments share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fitfleet.data.files.storage_names import DATASETS
from fitfleet.db.jobs import retention
from fitfleet.db.jobs.retention import Kept
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.storage import ARCHIVE, INITIAL, Storage


@dataclass
class Usage:
    """Bytes that one experiment uses."""

    experiment: str
    jobs: int = 0
    weights_bytes: int = 0
    checkpoint_bytes: int = 0
    log_bytes: int = 0
    unused_bytes: int = 0  # files of its folder that no job points to; `gc` removes them

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.checkpoint_bytes + self.log_bytes + self.unused_bytes


@dataclass
class DiskUsage:
    """Bytes by experiment, the largest first, and of what all of them share."""

    experiments: list[Usage]
    shared: dict[str, int] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        return sum(usage.total_bytes for usage in self.experiments) + sum(self.shared.values())


def disk_usage(database: Database, settings: Settings) -> DiskUsage:
    """Sizes of all files of the fleet that this machine sees.

    A file that several jobs point to (adopted results) counts for the first of them.
    """
    with database.read() as c:
        jobs = retention.kept(c)
        size = retention.size_bytes(c)
    usages = {job.experiment: Usage(job.experiment) for job in jobs}
    kinds: dict[str, tuple[str, str]] = {}  # path -> experiment, field
    for job in jobs:
        usages[job.experiment].jobs += 1
        for path, kind in ((job.artifact_path, "weights"), (job.checkpoint_path, "checkpoint")):
            if path is not None:
                kinds.setdefault(path, (job.experiment, f"{kind}_bytes"))
    shared = _add_storage(settings, usages, kinds)
    _add_logs(settings, jobs, usages)
    shared["dataset cache of this machine"] = sum(s for _, s in _files(Path(settings.cache)))
    shared["database"] = size
    order = sorted(usages.values(), key=lambda usage: (-usage.total_bytes, usage.experiment))
    return DiskUsage(order, {name: size for name, size in shared.items() if size})


def _add_storage(
    settings: Settings, usages: dict[str, Usage], kinds: dict[str, tuple[str, str]]
) -> Counter[str]:
    """Give each file of the storage to its experiment; the sizes of those that have none."""
    storage = Storage.of(settings)
    folders = {storage.folder(name): name for name in usages}
    shared: Counter[str] = Counter()
    others = {
        DATASETS: "datasets given as arrays",
        INITIAL: "initial weights",
        ARCHIVE: "archived experiments",
    }
    for file in storage.files():
        top, size = file.path.partition("/")[0], file.size_bytes
        name, kind = kinds.get(file.path, ("", "unused_bytes"))
        name = name or folders.get(top, "")
        if name:
            setattr(usages[name], kind, getattr(usages[name], kind) + size)
        else:
            shared[others.get(top, "other files of the storage")] += size
    return shared


def _add_logs(settings: Settings, jobs: list[Kept], usages: dict[str, Usage]) -> None:
    owners = {str(job.job_id): job.experiment for job in jobs}
    root = Path(settings.logs)
    for path, size in _files(root):
        owner = owners.get(path.relative_to(root).parts[0])
        if owner is not None:
            usages[owner].log_bytes += size


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """Every file below a folder with its size; links are not followed."""
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):
                yield path, path.lstat().st_size
