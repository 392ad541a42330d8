"""Files of the storage that no row points to."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fitfleet.data.location import DATASETS
from fitfleet.db import retention as table
from fitfleet.db.session import Database
from fitfleet.errors import StorageError
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
    database: Database, root: Path, shared: Collection[str], *, is_dry: bool
) -> Iterator[Collected]:
    """Files that no row points to, of jobs that have ended or are unknown.

    `shared` are paths that rows of other jobs point to.
    """
    folders = _folders(root)
    while some := list(islice(folders, _FOLDERS)):
        with database.read() as c:
            known, busy = table.known_paths(
                c, [int(f.name) for f in some if f.name.isdecimal() and len(f.name) < 19]
            )
        for folder in some:
            if folder.name not in busy:
                yield from _unreferenced(root, folder, known, shared, is_dry)


def _folders(root: Path) -> Iterator[Path]:
    """Those of jobs: experiment/job. Never those behind a link."""
    for experiment in sorted(root.iterdir()):
        if experiment.is_dir() and not experiment.is_symlink():
            yield from sorted(folder for folder in experiment.iterdir() if folder.is_dir())


def _unreferenced(
    root: Path, folder: Path, known: Collection[str], shared: Collection[str], is_dry: bool
) -> Iterator[Collected]:
    for path in sorted(folder.iterdir()):
        relative = path.relative_to(root).as_posix()
        if not path.name.endswith(_SUFFIX) or relative in known or relative in shared:
            continue
        if inside(root, relative) is None:
            continue
        try:
            about = path.stat()
        except OSError:
            continue
        if about.st_mtime > time.time() - _YOUNG_S:
            continue
        if not is_dry:
            remove(path)
        experiment = folder.parent.name
        yield Collected(None, experiment, relative, about.st_size, "no job points to it")


def datasets(database: Database, root: Path, *, is_dry: bool) -> Iterator[Collected]:
    """Data of scripts that no job and no sweep names, and halves of such files."""
    old: dict[str, os.stat_result] = {}
    for path in sorted((root / DATASETS).glob("*")) + sorted((root / DATASETS).glob(".*.tmp")):
        with suppress(OSError):
            about = path.lstat()
            if stat.S_ISREG(about.st_mode) and about.st_mtime < time.time() - _YOUNG_S:
                old[f"{DATASETS}/{path.name}"] = about
    with database.read() as c:
        named = table.names_in_specs(c, old)
    for relative in sorted(old.keys() - named):
        if not is_dry:
            remove(root / relative)
        size = old[relative].st_size
        yield Collected(None, DATASETS, relative, size, "no job names this data")


def inside(root: Path, path: str) -> Path | None:
    """The file of a row; None for a path that leaves the storage, whose file is not ours."""
    try:
        return Storage(root).absolute(path)
    except StorageError:
        return None


def remove(path: Path) -> None:
    """Take it away, if it is there. StorageError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
