"""Handles on the files that a job's callbacks wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fitfleet.errors import StorageError
from fitfleet.objects.draft import whole
from fitfleet.settings import Settings
from fitfleet.weights import callback_files

_TRIES = 3


@dataclass(frozen=True)
class JobFile:
    """A file that a callback of a job wrote: its name, size in bytes, and sha256."""

    name: str
    size_bytes: int
    sha256: str
    _source: Path = field(repr=False)
    _settings: Settings = field(repr=False)

    def read(self) -> bytes:
        """Its content, whose sha256 is checked. StorageError."""
        if not self._source.exists():
            raise StorageError(
                f"{self._source}: is not there any more; a newer checkpoint takes the place of the"
                " one before, or it was removed: read job.files again"
            )
        return callback_files.read(self._source, self.name, self._settings)

    def copy(self, target: str | Path) -> Path:
        """Write it to a path, or into a folder that is there; where it is now.

        StorageError if it cannot be read or written.
        """
        path, content = Path(target), self.read()
        if path.is_dir():
            path = path / Path(self.name).name
        with whole(path) as draft:
            draft.write_bytes(content)
        return path


def newest(
    where: Callable[[], tuple[Path, str | None] | None], settings: Settings
) -> list[JobFile]:
    """Those in the file that `where` names; None: there is none yet. StorageError.

    Of a job that trains a newer checkpoint may take its place meanwhile; then that one is read.
    """
    for tries_left in reversed(range(_TRIES)):
        try:
            newest_file = where()
            return [] if newest_file is None else of(newest_file[0], settings, newest_file[1])
        except StorageError:
            if not tries_left:
                raise
    return []


def of(source: Path, settings: Settings, digest: str | None) -> list[JobFile]:
    """Those in a job's file. StorageError."""
    return [
        JobFile(file.name, file.size_bytes, file.sha256, source, settings)
        for file in callback_files.listed(source, settings, digest)
    ]
