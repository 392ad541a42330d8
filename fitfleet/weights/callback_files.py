"""Files that a job's callbacks wrote, inside the job's own file: in, out, and what there is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitfleet.errors import NotFoundError, SpecError, StorageError
from fitfleet.settings import Settings
from fitfleet.spec.keras_objects.callback_file_names import is_name
from fitfleet.storage import JOB_GROUP
from fitfleet.weights.files import checked, opened

GROUP = f"{JOB_GROUP}/files"
# As they were when an attempt failed, in the checkpoint before, which resumes with those in GROUP.
AT_FAILURE = f"{JOB_GROUP}/files_at_failure"


@dataclass(frozen=True)
class WrittenFile:
    """Name, size in bytes and sha256 of a file that a callback wrote."""

    name: str
    size_bytes: int
    sha256: str


def pack(file: Any, folder: Path, settings: Settings, group: str = GROUP) -> None:
    """Put all files of a folder into a group of an open HDF5 file, as bytes.

    SpecError where they are so large that the file could not be read again.
    """
    import numpy as np

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    nbytes, limit = sum(path.stat().st_size for path in paths), settings.max_dataset_bytes
    if nbytes > limit:
        raise SpecError(
            "callbacks",
            f"they have written {nbytes:,} bytes of files, above the setting"
            f" max_dataset_bytes={limit:,}; keep the best alone (save_best_only=True), or give a"
            " name without values, or raise it",
        )
    for index, path in enumerate(paths):
        content = np.fromfile(path, "u1")
        item = file.create_dataset(f"{group}/{index:06d}", data=content)
        item.attrs["name"] = path.relative_to(folder).as_posix()
        item.attrs["sha256"] = hashlib.sha256(content.tobytes()).hexdigest()


def unpack(path: Path, folder: Path, settings: Settings) -> None:
    """Write the files that a fit resumes with into a folder. StorageError."""
    with opened(path, settings) as file:
        for name, item in _items(file, GROUP):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(item, path, name))


def listed(path: Path, settings: Settings, digest: str | None = None) -> list[WrittenFile]:
    """What a job's file holds, by name; as they were at its failure, if it failed. StorageError."""
    checked(path, settings, digest)
    with opened(path, settings) as file:
        return [
            WrittenFile(name, int(item.size), str(item.attrs["sha256"]))
            for name, item in _items(file, _newest(file))
        ]


def read(path: Path, name: str, settings: Settings, digest: str | None = None) -> bytes:
    """The content of one of them. NotFoundError, StorageError where it is another than written."""
    checked(path, settings, digest)
    with opened(path, settings) as file:
        for known, item in _items(file, _newest(file)):
            if known == name:
                return _content(item, path, name)
    raise NotFoundError(f"{path} contains no file {name!r:.200}")


def _newest(file: Any) -> str:
    return AT_FAILURE if AT_FAILURE in file else GROUP


def _items(file: Any, group: str) -> Iterator[tuple[str, Any]]:
    for item in file[group].values() if group in file else ():
        name = str(item.attrs["name"])
        if not is_name(name) or item.dtype != "u1" or item.ndim != 1:
            raise StorageError(f"{file.filename}: {name!r:.80} is not a file of a callback")
        yield name, item


def _content(item: Any, path: Path, name: str) -> bytes:
    content: bytes = item[()].tobytes()
    if hashlib.sha256(content).hexdigest() != item.attrs["sha256"]:
        raise StorageError(f"{path}: {name} is not what was written; run the job again")
    return content
