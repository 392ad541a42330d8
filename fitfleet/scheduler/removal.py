"""Removing jobs and experiments with all their files: rows first, so that no row lacks its file.

A file that is left behind by a crash between the two is one that no job points to; `gc` takes it.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fitfleet.db.jobs import removal as table
from fitfleet.db.jobs import retention
from fitfleet.db.jobs.archive import State
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
        going = retention.kept_of(c, wanted)
        sweeps = table.sweeps_of(c, wanted)
    missing = [str(number) for number in sorted(set(wanted) - {job.job_id for job in going})]
    if missing:
        raise NotFoundError(
            f"there is no job {', '.join(missing)}; `fitfleet ps` lists those there"
        )
    _check_ended([job.job_id for job in going if not job.status.is_terminal], len(going))
    if sweeps:
        name = next(job.experiment for job in going if job.sweep_id is not None)
        raise StateError(
            f"sweep {sweeps[0]} compares some of these jobs; remove it with its experiment:"
            f" fitfleet rm -e {shlex.quote(name)}"
        )
    files = _files(settings, going)
    with database.read() as c:
        pointing = retention.pointing(c, files)
    removal = _removal_of(settings, going, files, {p for job, p in pointing if job not in wanted})
    if not is_dry:
        with database.begin() as c:
            table.remove_jobs(c, wanted)
        _delete(settings, removal, going)
    return removal


def remove_experiment(
    database: Database,
    settings: Settings,
    name: str,
    *,
    is_dry: bool = False,
    only: State | None = None,
) -> Removal:
    """Remove an experiment: its jobs and sweeps as rows, and all files of its jobs.

    It is gone for everybody at once, and its jobs are deleted some at a time; what a crash leaves
    over goes when the removal is repeated, or by `finish`. NotFoundError if there is none;
    StateError while one of its jobs has not ended, and if its state is not `only` that.
    """
    with database.read() as c:
        numbers = table.numbers_of(c, name)
        _check_ended(*table.open_jobs(c, numbers), f"-e {shlex.quote(name)}")
    if not is_dry:
        with database.begin() as c:
            table.begin_removal(c, name, only)
    return _remove_experiments(database, settings, name, numbers, is_dry=is_dry)


def finish(database: Database, settings: Settings) -> list[str]:
    """Repeat the removals of experiments that were begun and did not come to their end."""
    with database.read() as c:
        unfinished = table.unfinished_removals(c)
    for number, name in unfinished.items():
        remove_unnamed(database, settings, name, number)
    return list(unfinished.values())


def remove_unnamed(database: Database, settings: Settings, name: str, number: int) -> None:
    """Remove an experiment that is not seen any more, or not yet, under the name for its files."""
    _remove_experiments(database, settings, name, [number], is_dry=False)


def _remove_experiments(
    database: Database, settings: Settings, name: str, numbers: Sequence[int], *, is_dry: bool
) -> Removal:
    """Those of these numbers, which have that name or had it."""
    with database.read() as c:
        needed = retention.paths_of_others(c, numbers, Storage.folder(name))
    parts = [
        _remove_part(database, settings, page, needed, is_dry=is_dry)
        for number in numbers
        for page in retention.all_pages(database, number)
    ]
    for number in [] if is_dry else numbers:
        with database.begin() as c:
            table.end_removal(c, number)
    files = {path for part in parts for path in part.files}
    size = sum(part.size_bytes for part in parts)
    return Removal(sum(part.jobs for part in parts), tuple(sorted(files)), size)


def _remove_part(
    database: Database,
    settings: Settings,
    going: Sequence[Kept],
    needed: Collection[str],
    *,
    is_dry: bool,
) -> Removal:
    removal = _removal_of(settings, going, _files(settings, going), needed)
    if not is_dry:
        with database.begin() as c:
            table.remove_part(c, [job.job_id for job in going])
        _delete(settings, removal, going)
    return removal


def _check_ended(running: Sequence[int], count: int, how: str = "") -> None:
    """StateError if jobs run; `running` are some of them, of `count` jobs."""
    if running:
        numbers = ", ".join(map(str, running[:5]))
        more = f" and {len(running) - 5} more" if len(running) > 5 else ""
        raise StateError(
            f"not removed: {len(running)} of {count} jobs have not ended ({numbers}{more});"
            f" cancel them first: fitfleet cancel {how or numbers.replace(',', '')}"
        )


def _files(settings: Settings, going: Sequence[Kept]) -> dict[str, int]:
    """Path -> bytes of all files of these jobs."""
    storage = Storage.of(settings)
    files: dict[str, int] = {}
    for job in going:
        there = storage.files_of(job.experiment, job.job_id)
        files |= {file.path: file.size_bytes for file in there}
        for path in _paths(job) - files.keys():
            with suppress(StorageError):  # out of the storage
                file = storage.about(path)
                if file is not None:
                    files[path] = file.size_bytes
    return files


def _removal_of(
    settings: Settings, going: Sequence[Kept], files: dict[str, int], needed: Collection[str]
) -> Removal:
    """Without the files that other jobs need (adopted results share their weights)."""
    sizes = {path: size for path, size in files.items() if path not in needed}
    logs = sum(_size_below(folder) for folder in _log_folders(settings, going))
    return Removal(len(going), tuple(sorted(sizes)), sum(sizes.values()) + logs)


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
