"""Weights files, checked before they are opened.

A file of the storage may have been swapped, and a user's file comes from anywhere. The rules are
those of datasets: plain arrays behind hard links, nothing outside the file, bounded expansion.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fitfleet.data.checker import check_hdf5
from fitfleet.errors import DatasetError, StorageError
from fitfleet.settings import Settings
from fitfleet.storage import sha256


@contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Any]:
    """A checked weights file, as an open `h5py.File`. StorageError says why it cannot be read."""
    checked(path, settings)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise StorageError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error


def checked(path: Path, settings: Settings, digest: str | None = None) -> Path:
    """The path, when the file may be opened, by Keras as well, and has that sha256 if one is given.

    StorageError in one sentence.
    """
    try:
        if digest is not None and (found := sha256(path)) != digest:
            raise StorageError(
                f"{path}: is not the file that was written: its sha256 is {found[:12]}, not"
                f" {digest[:12]}; run the job again"
            )
        check_hdf5(path, settings)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise StorageError(f"{path}: cannot be read: {reason}") from error
    except DatasetError as error:
        raise StorageError(str(error)) from error
    return path
