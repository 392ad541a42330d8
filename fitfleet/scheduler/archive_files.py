"""Reading an archive of an experiment: a folder of the storage, another one, or one behind a URL.

What it holds is not trusted: every file has the hash that `archive.json` says, and every table the
columns of this version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from fitfleet.db.jobs import archive as source
from fitfleet.errors import NotFoundError, StorageError
from fitfleet.objects.store import DamagedFileError
from fitfleet.scheduler.archive import MANIFEST, Archive, schema
from fitfleet.settings import Settings
from fitfleet.storage import ARCHIVE, Storage, sha256
from fitfleet.urls import is_url


def opened(settings: Settings, place: str) -> tuple[Storage, str]:
    """The storage that has the archive, and the archive's folder in it."""
    if is_url(place):
        parent, _, name = place.rstrip("/").rpartition("/")
        return Storage.of(settings.replace(storage=parent)), name
    path = Path(place).absolute()
    if (path / MANIFEST).is_file():
        return Storage(path.parent), path.name
    return Storage.of(settings), f"{ARCHIVE}/{PurePosixPath(place).name}"


class ArchiveFiles:
    """The files of an archive. StorageError for what is damaged."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self.storage, self.folder = storage, folder
        self.about = self._manifest()

    def _manifest(self) -> Archive:
        name = f"{self.folder}/{MANIFEST}"
        shown = self.storage.shown(name)
        if self.storage.about(name) is None:
            raise NotFoundError(f"there is no {shown}: this is no archive, or it was interrupted")
        try:
            about = Archive(**json.loads(self.storage.local(name).read_bytes()))
            if not {f"{table}.parquet" for table in source.TABLES} <= about.files.keys():
                raise ValueError
        except (ValueError, TypeError, AttributeError):
            raise StorageError(
                f"{shown}: is damaged, or written by a fitfleet that has other tables than this"
            ) from None
        return about

    def check(self) -> None:
        """Compare the hash of each file; StorageError for the first that differs."""
        for name in self.about.files:
            self.path(name)

    def path(self, name: str) -> Path:
        """A file on this machine, whose hash is right."""
        digest, relative = self.about.files[name], f"{self.folder}/{name}"
        try:
            path = self.storage.local(relative, digest)
            is_right = sha256(path) == digest
        except (OSError, DamagedFileError):
            is_right = False
        if not is_right:
            raise StorageError(
                f"not restored: {self.storage.shown(relative)} is missing or is not what was"
                " archived; put a copy of it there"
            )
        return path

    def groups(self, name: str, ordered_by: str | None = None) -> Iterator[list[dict[str, Any]]]:
        """The rows of a table, some at a time; those with the largest number first."""
        import pyarrow
        from pyarrow import parquet

        file_name = f"{name}.parquet"
        path = self.storage.local(f"{self.folder}/{file_name}", self.about.files[file_name])
        try:
            with parquet.ParquetFile(path) as file:
                if not file.schema_arrow.equals(schema(name)):
                    raise pyarrow.ArrowInvalid("its columns are others")
                order = list(range(file.num_row_groups))
                if ordered_by is not None:
                    order.sort(key=lambda i: -_largest(file, i, ordered_by))
                for group in order:
                    yield file.read_row_group(group).to_pylist()
        except pyarrow.ArrowException as error:
            raise StorageError(
                f"not restored: {self.storage.shown(self.folder)}/{file_name}: {error}"
            ) from None

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a small table."""
        return [row for group in self.groups(name) for row in group]

    def numbers(self, name: str) -> list[int]:
        """The column `id` of a table."""
        from pyarrow import parquet

        name = f"{name}.parquet"
        path = self.storage.local(f"{self.folder}/{name}", self.about.files[name])
        return list(parquet.read_table(path, columns=["id"])["id"].to_pylist())


def _largest(file: Any, group: int, column: str) -> int:
    return int(max(file.read_row_group(group, columns=[column])[column].to_pylist()))
