"""Files of datasets in the storage: named by their content, written as a whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fitfleet.data.files.storage_names import DATASETS, STORAGE
from fitfleet.errors import StorageError
from fitfleet.objects import store
from fitfleet.settings import Settings


def name_of(digest: str, suffix: str = ".h5") -> str:
    """The name of the file with this content."""
    return f"{digest}{suffix}"


def path_in_spec(digest: str, suffix: str = ".h5") -> str:
    """The same as a dataset names it, on whichever host the storage is."""
    return f"{STORAGE}{DATASETS}/{digest}{suffix}"


def is_there(settings: Settings, name: str) -> bool:
    """Whether the file exists; renews its time, by which `gc` keeps it. Raises StorageError."""
    objects = store.of(settings)
    if objects is not None:
        return objects.renew(f"{DATASETS}/{name}")
    try:
        os.utime(_folder(settings) / name)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def draft(settings: Settings) -> Iterator[Path]:
    """A path to write to, from which `keep` takes the file; without that it is removed.

    Raises StorageError for any OSError inside.
    """
    objects = store.of(settings)
    folder = _folder(settings) if objects is None else objects.cache.folder / "drafts"
    path = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield path
    except OSError as error:
        raise StorageError(
            f"{folder}: the data cannot be written there: {str(error)[:160]}; set storage to a"
            " folder that this machine may write to"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def keep(settings: Settings, draft: Path, name: str) -> None:
    """Rename a draft, unless the file exists: that has the same content and may be in use."""
    if is_there(settings, name):
        return
    objects = store.of(settings)
    if objects is None:
        os.replace(draft, _folder(settings) / name)
        return
    path = f"{DATASETS}/{name}"
    objects.put(draft, path)
    objects.cache.put(draft, path)


def local(settings: Settings, path: str) -> Path | None:
    """`datasets/<name>` to read on this machine; None if the storage has no such file.

    From an object store it is a cached copy, named by its content. Raises StorageError.
    """
    objects = store.of(settings)
    if objects is not None:
        copy = objects.cache.get(path)
        if copy is None and objects.about(path) is None:
            return None
        return copy or objects.fetch(path)
    place = Path(settings.storage) / path
    try:
        return place if stat.S_ISREG(os.lstat(place).st_mode) else None
    except OSError:
        return None


def is_reachable(settings: Settings) -> bool:
    """Whether the storage is an object store or a folder of this machine."""
    return store.of(settings) is not None or Path(settings.storage).is_dir()


def note(settings: Settings, name: str) -> dict[str, Any] | None:
    """A JSON object stored with the data; None if there is none."""
    objects = store.of(settings)
    try:
        if objects is None:
            document = json.loads((_folder(settings) / name).read_text())
        else:
            document = json.loads(objects.read(f"{DATASETS}/{name}") or b"null")
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def write_note(
    settings: Settings, name: str, value: dict[str, Any], *, is_replacing: bool
) -> dict[str, Any]:
    """Write a note and return the stored one: unless `is_replacing`, an existing one stays."""
    objects, text = store.of(settings), json.dumps(value)
    if objects is not None:
        if is_replacing:
            objects.remove(f"{DATASETS}/{name}")
        objects.create(f"{DATASETS}/{name}", text.encode())
        return note(settings, name) or value
    with draft(settings) as path:
        path.write_text(text)
        if is_replacing:
            os.replace(path, _folder(settings) / name)
            return value
        with contextlib.suppress(FileExistsError):
            os.link(path, _folder(settings) / name)
            return value
    return note(settings, name) or value


def _folder(settings: Settings) -> Path:
    return Path(os.path.abspath(settings.storage)) / DATASETS
