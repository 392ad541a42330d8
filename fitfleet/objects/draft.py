"""A file that is published under its final name whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path beside a user's file or folder, which takes its place at the end of the block.

    StorageError where it cannot be written; then, and after any error, nothing of it stays.
    """
    draft = target.with_name(f".{uuid.uuid4().hex}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            if draft.is_dir() and target.is_dir():
                shutil.rmtree(target)
            draft.replace(target)
        finally:
            _remove(draft)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}") from error


def _remove(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
