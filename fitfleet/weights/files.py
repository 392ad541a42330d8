"""Weights files, checked before they are opened.

A file of the storage may have been swapped, and a user's file comes from anywhere. The rules are
those of datasets: plain arrays behind hard links, nothing outside the file, bounded expansion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.data.inspection.checker import check_hdf5
from fitfleet.errors import DatasetError, StorageError
from fitfleet.settings import Settings
from fitfleet.storage import DOCUMENT, JOB_GROUP, sha256
from fitfleet.text import first_line

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def opened(path: Path, settings: Settings) -> Iterator[Any]:
    """A checked weights file, as an open `h5py.File`. StorageError says why it cannot be read."""
    checked(path, settings)
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise StorageError(f"{path}: cannot be read: {first_line(error, 200)}") from error


def checked(path: Path, settings: Settings, digest: str | None = None) -> Path:
    """The path, when the file may be opened, by Keras as well, and has that sha256 if one is given.

    StorageError in one sentence.
    """
    try:
        if digest is not None and (digest_there := sha256(path)) != digest:
            raise StorageError(
                f"{path}: is not the file that was written: its sha256 is {digest_there[:12]}, not"
                f" {digest[:12]}; run the job again"
            )
        check_hdf5(path, settings)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise StorageError(f"{path}: cannot be read: {reason}") from error
    except DatasetError as error:
        raise StorageError(str(error)) from error
    return path


def has_digest(path: Path, digest: str | None) -> bool:
    """Whether a file has this sha256; None: unknown. StorageError if it is not there."""
    try:
        return digest is None or sha256(path) == digest
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def read_weights(
    path: Path, settings: Settings, digest: str | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Weights by their path in the file, such as `layers/lstm/cell/vars/0`; h5py only.

    bfloat16, which NumPy has not, comes as float32, which holds the same numbers.
    """
    import h5py

    arrays: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(("optimizer", JOB_GROUP)):
            arrays[name] = _array(item)

    checked(path, settings, digest)
    with opened(path, settings) as file:
        file.visititems(visit)
    return arrays


def read_document(path: Path, settings: Settings) -> dict[str, Any]:
    """The JSON that fitfleet put into a weights file. StorageError if there is none."""
    with opened(path, settings) as file:
        if DOCUMENT not in file:
            raise StorageError(f"{path}: was not written by fitfleet: it has no {DOCUMENT}")
        return document_of(file)


def document_of(file: Any) -> dict[str, Any]:
    """The same of an open file that has one."""
    document = json.loads(bytes(file[DOCUMENT][()]))
    if not isinstance(document, dict):
        raise StorageError(f"{file.filename}: its {DOCUMENT} is not an object")
    return document


def _array(dataset: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    value: np.ndarray[Any, Any] = dataset[()]
    if dataset.attrs.get("dtype") != "bfloat16":
        return value
    bits = np.frombuffer(np.ascontiguousarray(value).tobytes(), "<u2").astype("u4") << 16
    return bits.view("<f4").reshape(value.shape)
