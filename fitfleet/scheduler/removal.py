"""Removing jobs and experiments with all their files: rows first, so that no row lacks its file.

A file that is left behind by a crash between the two is one that no job points to; `gc` takes it.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fitfleet.db.jobs import removal as table
from fitfleet.db.jobs import retention
from fitfleet.db.jobs.retention import Kept
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError, StateError, StorageError
from fitfleet.settings import Settings
from fitfleet.storage import Storage


@dataclass(frozen=True)
class Removal:
    """What would go, or went."""

    jobs: int
    files: tuple[str, ...]  # below the storage
    size_bytes: int  # of these files and the logs


def remove_jobs(
    database: Database, settings: Settings, job_ids: Iterable[int], *, is_dry: bool = False
) -> Removal:
    """Remove ended jobs: rows, weights, checkpoints, logs; with `is_dry` only say what would go.

    NotFoundError for a number that there is not; StateError for a job that has not ended and for
    one of a sweep, whose trials need it. All of them are removed or none.
    """
    wanted = sorted(set(job_ids))
    with database.read() as c:
        everything = retention.kept(c)
        sweeps = table.sweeps_of(c, wanted)
    by_id = {job.job_id: job for job in everything}
    missing = [str(number) for number in wanted if number not in by_id]
    if missing:
        raise NotFoundError(
            f"there is no job {', '.join(missing)}; `fitfleet ps` lists those there"
        )
    going = [by_id[number] for number in wanted]
    _check_ended(going)
    if sweeps:
        name = next(job.experiment for job in going if job.sweep_id is not None)
        raise StateError(
            f"sweep {sweeps[0]} compares some of these jobs; remove it with its experiment:"
            f" fitfleet rm -e {shlex.quote(name)}"
        )
    removal = _removal_of(settings, everything, going)
    if not is_dry:
        with database.begin() as c:
            table.remove_jobs(c, wanted)
        _delete(settings, removal, going)
    return removal


def remove_experiment(
    database: Database, settings: Settings, name: str, *, is_dry: bool = False
) -> Removal:
    """Remove an experiment: its jobs and sweeps as rows, and all files of its jobs.

    NotFoundError if there is none; StateError while one of its jobs has not ended.
    """
    with database.read() as c:
        everything = retention.kept(c)
    going = [job for job in everything if job.experiment == name]
    _check_ended(going, f"-e {shlex.quote(name)}")
    removal = _removal_of(settings, everything, going)
    if not is_dry:
        with database.begin() as c:
            table.remove_experiment(c, name)
        _delete(settings, removal, going)
    return removal


def _check_ended(going: Sequence[Kept], how: str = "") -> None:
    running = [job for job in going if not job.status.is_terminal]
    if running:
        numbers = ", ".join(str(job.job_id) for job in running[:5])
        more = f" and {len(running) - 5} more" if len(running) > 5 else ""
        raise StateError(
            f"not removed: {len(running)} of {len(going)} jobs have not ended ({numbers}{more});"
            f" cancel them first: fitfleet cancel {how or numbers.replace(',', '')}"
        )


def _removal_of(settings: Settings, everything: Sequence[Kept], going: Sequence[Kept]) -> Removal:
    """The files of these jobs that no other job points to (adopted results share their weights)."""
    numbers = {job.job_id for job in going}
    needed = {path for job in everything if job.job_id not in numbers for path in _paths(job)}
    storage = Storage.of(settings)
    files: dict[str, int] = {}
    for job in going:
        there = {file.path: file for file in storage.files_of(job.experiment, job.job_id)}
        for path in (there.keys() | _paths(job)) - needed:
            with suppress(StorageError):  # out of the storage
                file = there.get(path) or storage.about(path)
                if file is not None:
                    files[path] = file.size_bytes
    logs = sum(_size_below(folder) for folder in _log_folders(settings, going))
    return Removal(len(going), tuple(sorted(files)), sum(files.values()) + logs)


def _paths(job: Kept) -> set[str]:
    return {path for path in (job.artifact_path, job.checkpoint_path) if path is not None}


def _log_folders(settings: Settings, jobs: Iterable[Kept]) -> list[Path]:
    return [Path(settings.logs) / str(job.job_id) for job in jobs]


def _size_below(folder: Path) -> int:
    size = 0
    with suppress(OSError):
        size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    return size


def _delete(settings: Settings, removal: Removal, jobs: Sequence[Kept]) -> None:
    storage = Storage.of(settings)
    for path in removal.files:
        storage.remove_with_folders(path)
    for folder in _log_folders(settings, jobs):
        shutil.rmtree(folder, ignore_errors=True)
