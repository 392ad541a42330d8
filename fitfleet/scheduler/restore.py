"""Putting an archived experiment back: rows of all tables, weights and checkpoints where they were.

The archive stays.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fitfleet.db.jobs import restore as table
from fitfleet.db.jobs.restore import Restoration, Row
from fitfleet.db.session import Database
from fitfleet.errors import MissingExtraError, SpecError, StorageError
from fitfleet.objects.store import DamagedFileError
from fitfleet.scheduler.archive import kept_name, put
from fitfleet.scheduler.archive_files import ArchiveFiles, opened
from fitfleet.scheduler.removal import remove_unnamed
from fitfleet.settings import Settings
from fitfleet.states import TERMINAL
from fitfleet.storage import Storage, sha256

# File -> table, in the order in which rows refer to each other; jobs come before these.
_TABLES = {
    "tables/trials": "trials",
    "tables/imported_trials": "imported_trials",
    "specs": "job_specs",
    "tables/job_labels": "job_labels",
    "attempts": "attempts",
    "curves": "metrics",
    "scores": "scores",
    "tables/trial_jobs": "trial_jobs",
}
# A file of the archive, the row of its job, and the columns that point to it.
_Copy = tuple[str, Row, tuple[str, ...]]


@dataclass
class Restored:
    """What was restored."""

    experiment: str
    folder: str  # of the archive, which stays
    jobs: int
    metrics: int
    files: int = 0  # weights and checkpoints
    shift: int = 0  # of the numbers of its jobs; 0: they are those from before
    missing: list[int] = field(default_factory=list)  # jobs whose weights were not archived


def restore(database: Database, settings: Settings, place: str) -> Restored:
    """Put an archived experiment back, so that views show the rows that they showed before.

    `place` is a folder of `.archive` by its name, another folder, or a URL. Numbers of jobs that
    are taken are all shifted alike; logs are gone. NotFoundError if there is no archive;
    StateError if a name is taken; StorageError for files that are damaged or not of an archive;
    MissingExtraError. After an error nothing of it is left in the database.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet")
    target = Storage.of(settings)
    target.check_reachable()
    files = ArchiveFiles(*opened(settings, place))
    files.check()
    (experiment,) = files.rows("tables/experiments")
    sweeps = files.rows("tables/sweeps")
    with database.begin() as c:
        restoration = table.begin(c, experiment, sweeps)
    try:
        done = _Restoring(database, target, files, restoration).run()
        with database.begin() as c:
            table.end(c, restoration, experiment, sweeps)
    except BaseException:
        remove_unnamed(database, settings, restoration.name, restoration.number)
        raise
    return done


class _Restoring:
    """One restoration, after the rows of its experiment and sweeps were made."""

    def __init__(
        self, database: Database, target: Storage, files: ArchiveFiles, restoration: Restoration
    ) -> None:
        self._database, self._target, self._files = database, target, files
        self._restoration = restoration
        about = files.about
        counts = (about.rows["runs"], about.rows["curves"])
        self._done = Restored(about.experiment, files.folder, *counts, missing=about.missing)

    def run(self) -> Restored:
        """Insert all rows, and put the files there."""
        self._add_code()
        self._add_jobs()
        for name, target in _TABLES.items():
            for rows in self._files.groups(name):
                if target == "metrics":
                    for row in rows:
                        del row["experiment"]  # curves have its name, for readers
                with self._database.begin() as c:
                    table.add(c, self._restoration, target, rows)
        self._add_events()
        self._done.shift = self._restoration.shift
        return self._done

    def _add_code(self) -> None:
        for row in self._files.rows("tables/code_snapshots"):
            with self._database.begin() as c:
                try:
                    table.add_code(c, row["archive"], row["signature"])
                except SpecError as error:
                    raise StorageError(f"not restored: {error}") from None

    def _add_jobs(self) -> None:
        ids = self._files.numbers("tables/jobs")
        for i, rows in enumerate(self._files.groups("tables/jobs", "id")):
            if any(row["status"] not in TERMINAL for row in rows):
                raise StorageError("not restored: a job of the archive has not ended")
            copies = [copy for row in rows for copy in self._copies(row)]
            with self._database.begin() as c:
                if i == 0:
                    table.shift_jobs(c, self._restoration, ids)
                for copy in copies:
                    self._point(copy)
                table.add_jobs(c, self._restoration, rows)
            for name, row, columns in copies:
                self._put(name, row[columns[0]])

    def _copies(self, row: Row) -> Iterator[_Copy]:
        """The files of a job that are not where its row points to."""
        is_same = row["checkpoint_path"] == row["artifact_path"]
        columns = ("artifact_path", "checkpoint_path") if is_same else ("artifact_path",)
        yield from self._copy(row, kept_name("weights", row["id"]), columns)
        if not is_same:
            yield from self._copy(row, kept_name("checkpoints", row["id"]), ("checkpoint_path",))

    def _copy(self, row: Row, name: str, columns: tuple[str, ...]) -> Iterator[_Copy]:
        path = row[columns[0]]
        if path is None:
            return
        if path.startswith(".") or not self._target.contains(path):
            raise StorageError(f"not restored: {path!r} is no path of a job's file")
        digest = self._files.about.files.get(name)
        if digest is not None and not self._is_there(path, digest):
            yield name, row, columns

    def _is_there(self, path: str, digest: str) -> bool:
        """Whether another job has the same file, whose results it was given."""
        if self._target.about(path) is None:
            return False
        try:
            return sha256(self._target.local(path, digest)) == digest
        except DamagedFileError:
            return False

    def _point(self, copy: _Copy) -> None:
        """Let a row point into the folder of its job."""
        _, row, columns = copy
        folder = f"{Storage.folder(self._restoration.name)}/{row['id'] + self._restoration.shift}"
        for column in columns:
            row[column] = f"{folder}/{PurePosixPath(row[column]).name}"

    def _put(self, name: str, path: str) -> None:
        if self._target.about(path) is not None:
            raise StorageError(
                f"not restored: {self._target.shown(path)} is there and is another file; move it"
                " away"
            )
        put(self._target, self._files.path(name), path)
        self._done.files += 1

    def _add_events(self) -> None:
        ids = self._files.numbers("tables/job_events")
        for i, rows in enumerate(self._files.groups("tables/job_events", "id")):
            with self._database.begin() as c:
                if i == 0:
                    table.shift_events(c, self._restoration, ids)
                table.add(c, self._restoration, "job_events", rows)
