"""Files of datasets in the storage: named by their content, and there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from fitfleet.data.location import DATASETS, STORAGE
from fitfleet.errors import StorageError
from fitfleet.settings import Settings


def file_of(settings: Settings, digest: str, suffix: str = ".h5") -> Path:
    """Where the file with this content is, or will be."""
    return _folder(settings) / f"{digest}{suffix}"


def path_in_spec(digest: str, suffix: str = ".h5") -> str:
    """The same as a dataset names it, on whichever host the storage is."""
    return f"{STORAGE}{DATASETS}/{digest}{suffix}"


def is_there(path: Path) -> bool:
    """Whether the file is there; `gc` sees by its time that it is wanted."""
    try:
        os.utime(path)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def draft(settings: Settings) -> Iterator[Path]:
    """A path to write to, from which `keep` takes the file; nothing stays of one that was not kept.

    Raises StorageError for any OSError inside.
    """
    folder = _folder(settings)
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


def keep(draft: Path, path: Path) -> None:
    """Give a draft its name, unless its content is there already: that file may be in use."""
    if not is_there(path):
        os.replace(draft, path)


def _folder(settings: Settings) -> Path:
    return Path(os.path.abspath(settings.storage)) / DATASETS
