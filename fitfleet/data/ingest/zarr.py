"""A Zarr folder as a dataset: unpacked once to a file of the storage, named by its content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp
from fitfleet.data.files.location import locate_folder
from fitfleet.data.ingest.conversion import OnProgress, convert, convert_once
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

SUFFIX = ".zarr"
_MAX_FILES = 1_000_000
# Part of the cache's key: increment it when arrays are read in another way.
_VERSION = 1


def is_zarr(dataset: Any) -> bool:
    """Whether a `dataset=` names a Zarr folder."""
    return _path(dataset).rstrip("/").lower().endswith(SUFFIX)


def of_zarr(dataset: Any, settings: Settings, on_progress: OnProgress | None = None) -> Any:
    """The same dataset, its path a file of the storage with all arrays of the folder.

    They are unpacked by the process that reads untrusted files. Raises DatasetError for what is no
    folder of numbers, contains a link, or is above max_dataset_bytes; StorageError;
    MissingExtraError.
    """
    folder = locate_folder(_path(dataset).rstrip("/"), settings)
    stamps = [Stamp.of(path) for path in _files(folder)]
    identity = [_VERSION, os.path.abspath(folder), [asdict(stamp) for stamp in stamps]]

    def unpack() -> dict[str, Any]:
        progress = "{done:,} of {count:,} blocks unpacked"
        path = os.path.abspath(folder)
        return convert("zarr", str(folder), settings, on_progress, progress, folder=path)

    answer = convert_once(identity, stamps, settings, unpack)
    path = storage_files.path_in_spec(str(answer["digest"]))
    if isinstance(dataset, DatasetSpec):
        return dataset.model_copy(update={"path": path})
    return {**dataset, "path": path} if isinstance(dataset, Mapping) else path


def _path(dataset: Any) -> str:
    if isinstance(dataset, DatasetSpec):
        return dataset.path
    path = dataset.get("path") if isinstance(dataset, Mapping) else dataset
    return os.fspath(path) if isinstance(path, str | os.PathLike) else ""


def _files(folder: Path) -> list[Path]:
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in (*folders, *sorted(names)):
            path = Path(root) / name
            if path.is_symlink():
                raise DatasetError(
                    f"{path}: is a link, and a Zarr folder is read without; put the file there"
                )
        files += [Path(root) / name for name in sorted(names)]
        if len(files) > _MAX_FILES:
            raise DatasetError(
                f"{folder}: contains more than {_MAX_FILES:,} files; write it with larger chunks"
            )
    return files
