"""Small files at the root of the storage that are written once, by the first process."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from fitfleet.errors import StorageError
from fitfleet.objects import store
from fitfleet.settings import Settings


def shown(settings: Settings, name: str) -> str:
    """Path or URL of the file, for users."""
    objects = store.of(settings)
    return str(Path(settings.storage, name).absolute()) if objects is None else objects.shown(name)


def read(settings: Settings, name: str) -> bytes | None:
    """The content; None if there is no such file. StorageError if the storage fails."""
    objects = store.of(settings)
    if objects is not None:
        return objects.read(name)
    path = Path(settings.storage, name)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def create(settings: Settings, name: str, content: bytes, mode: int) -> None:
    """Write the file, whole from the start, unless there is one. StorageError if that is refused.

    `mode` is that of a file in a folder.
    """
    objects = store.of(settings)
    if objects is not None:
        objects.create(name, content)
        return
    path = Path(settings.storage, name)
    draft = path.with_name(f"{name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink()
