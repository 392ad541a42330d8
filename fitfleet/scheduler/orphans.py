"""Files of the storage that no row points to."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from fitfleet.data.files.storage_names import DATASETS
from fitfleet.db.jobs import retention as table
from fitfleet.db.session import Database
from fitfleet.objects.store import StoredFile
from fitfleet.storage import Storage

# A file without a row may be one that a worker is just writing.
_YOUNG_S = 3600.0
_SUFFIX = ".weights.h5"
_FOLDERS = 1_000  # whose rows are read at once


@dataclass(frozen=True)
class Collected:
    """One file that goes, or went."""

    job_id: int | None  # None: no row knows of it
    experiment: str
    path: str  # relative to the storage
    size_bytes: int
    why: str


def orphans(
    database: Database, storage: Storage, shared: Collection[str], *, is_dry: bool
) -> Iterator[Collected]:
    """Files that no row points to, of jobs that have ended or are unknown.

    `shared` are paths that rows of other jobs point to.
    """
    folders = _folders(storage)
    while some := list(islice(folders, _FOLDERS)):
        with database.read() as c:
            known, busy = table.known_paths(
                c, [int(job) for _, job, _ in some if job.isdecimal() and len(job) < 19]
            )
        for experiment, job, files in some:
            if job not in busy:
                for file in files:
                    if file.path not in known and file.path not in shared:
                        yield from _unreferenced(storage, experiment, file, is_dry)


def _folders(storage: Storage) -> Iterator[tuple[str, str, list[StoredFile]]]:
    """(experiment's folder, job, its files with weights)."""
    for folder, files in groupby(storage.files(), lambda file: file.path.rpartition("/")[0]):
        experiment, _, job = folder.partition("/")
        if job and "/" not in job:
            yield experiment, job, [file for file in files if file.path.endswith(_SUFFIX)]


def _unreferenced(
    storage: Storage, experiment: str, file: StoredFile, is_dry: bool
) -> Iterator[Collected]:
    if file.modified_at > time.time() - _YOUNG_S:
        return
    if not is_dry:
        storage.delete(file.path)
    yield Collected(None, experiment, file.path, file.size_bytes, "no job points to it")


def datasets(database: Database, storage: Storage, *, is_dry: bool) -> Iterator[Collected]:
    """Data of scripts that no job and no sweep names, and halves of such files."""
    old = {
        file.path: file.size_bytes
        for file in storage.files(DATASETS)
        if file.modified_at < time.time() - _YOUNG_S
    }
    with database.read() as c:
        named = table.names_in_specs(c, old)
    for path in sorted(old.keys() - named):
        if not is_dry:
            storage.delete(path)
        yield Collected(None, DATASETS, path, old[path], "no job names this data")
