"""A Zarr folder as a dataset: unpacked once to a file of the storage, named by its content."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp, read_json, write_json
from fitfleet.data.files.location import locate_folder
from fitfleet.data.formats.file import hasher
from fitfleet.data.ingest.folders import OnProgress
from fitfleet.data.inspection.checker import talk
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

SUFFIX = ".zarr"
_MAX_FILES = 1_000_000
# In the key of what is remembered: another number when arrays are read in another way.
_VERSION = 1


def is_zarr(dataset: Any) -> bool:
    """Whether a `dataset=` names a Zarr folder."""
    return _path(dataset).rstrip("/").lower().endswith(SUFFIX)


def of_zarr(dataset: Any, settings: Settings, on_progress: OnProgress | None = None) -> Any:
    """The same dataset, its path a file of the storage with all arrays of the folder.

    They are unpacked by the process that may die of them. DatasetError for what is no folder of
    numbers, holds a link, or is above max_dataset_bytes; StorageError; MissingExtraError.
    """
    folder = locate_folder(_path(dataset).rstrip("/"), settings)
    stamps = [Stamp.of(path) for path in _files(folder)]
    identity = [_VERSION, os.path.abspath(folder), [asdict(stamp) for stamp in stamps]]
    key = hasher(json.dumps(identity).encode()).hexdigest()
    entry = Path(settings.cache) / "decoded" / f"{key}.json"
    known = read_json(entry)
    if known is None or not storage_files.is_there(
        settings, storage_files.name_of(str(known.get("digest")))
    ):
        known = _convert(folder, settings, on_progress)
        now = time.time_ns()
        if all(stamp.is_settled(now) for stamp in stamps):
            write_json(entry, known)
    path = storage_files.path_in_spec(str(known["digest"]))
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


def _convert(folder: Path, settings: Settings, on_progress: OnProgress | None) -> dict[str, Any]:
    limits = Limits.of(settings)

    def report(done: int, count: int) -> None:
        if on_progress is not None:
            on_progress(f"{folder}: {done:,} of {count:,} blocks unpacked")

    with storage_files.draft(settings) as draft:
        answer: dict[str, Any] = talk(
            str(folder),
            limits,
            lambda ask: ask(
                "zarr",
                folder=os.path.abspath(folder),
                target=str(draft),
                max_bytes=limits.array_bytes,
            ),
            on_progress=report,
        )
        storage_files.keep(settings, draft, storage_files.name_of(answer["digest"]))
    return answer
