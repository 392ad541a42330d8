"""A file on its way into the storage: there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fitfleet.errors import StorageError
from fitfleet.objects.store import ObjectStore


@dataclass
class Draft:
    """A file under its temporary name, in the folder where it will be."""

    path: Path
    target: Path
    name: str  # that it will have, relative to the storage

    def secure(self) -> None:
        """Bring the content safely to where it stays. OSError, StorageError."""
        _fsync(self.path)

    def publish(self) -> None:
        """Give the file its name, at once and durably. Doing so again changes nothing."""
        # The transaction around it may have to be repeated after its connection was cut.
        if not self.path.exists() and self.target.exists():
            return
        os.replace(self.path, self.target)
        _fsync(self.target.parent)

    def discard(self) -> None:
        """Leave nothing of what was not published."""
        with suppress(OSError):
            self.path.unlink()


@dataclass
class ObjectDraft(Draft):
    """A file of this machine that is put into an object store, under a name that is its own.

    There it changes nothing: it is in effect when the job's row points to it.
    """

    objects: ObjectStore
    is_put: bool = False
    is_published: bool = False

    def secure(self) -> None:
        self.is_put = True  # also if it is refused: it may be there all the same
        self.objects.put(self.path, self.name)

    def publish(self) -> None:
        self.is_published = True

    def discard(self) -> None:
        super().discard()
        if self.is_put and not self.is_published:
            with suppress(StorageError):
                self.objects.remove(self.name)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
