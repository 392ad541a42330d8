"""A folder of files as a dataset: decoded once to a file of the storage, named by its content."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp, read_json, write_json
from fitfleet.data.files.location import check_inside_root, locate_folder
from fitfleet.data.formats.file import hasher
from fitfleet.data.inspection.checker import talk
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.folders import Folder
from fitfleet.spec.job import DatasetSpec

MAX_FILES = 200_000
_MAX_CLASSES = 10_000
# In the key of what is remembered: another number when files are decoded in another way.
_VERSION = 1
_LABELS = {"int": "int32", "categorical": "float32", "binary": "float32"}

OnProgress = Callable[[str], None]


def decoded(
    parts: Mapping[str, Folder], settings: Settings, on_progress: OnProgress | None = None
) -> DatasetSpec:
    """The dataset of folders, by the suffix of their roles: {"": training, "_val": validation}.

    Files are decoded by the process that may die of them; what it wrote is remembered by the
    files' names and stamps, so that a second call reads no file. Raises DatasetError for a folder
    that is not there or holds nothing, for classes that differ between the two, and for a file
    that cannot be decoded; StorageError.
    """
    folders = {suffix: _ListedFolder(folder, settings) for suffix, folder in parts.items()}
    first = folders[""]
    for part in folders.values():
        if part.classes != first.classes:
            raise DatasetError(
                f"{part.root}: has the classes {', '.join(part.classes)[:80]}, not those of"
                f" {first.root}, {', '.join(first.classes)[:80]}; name them in class_names"
            )
    key = _key(folders)
    entry = Path(settings.cache) / "decoded" / f"{key}.json"
    known = read_json(entry)
    if known is None or not storage_files.is_there(
        settings, storage_files.name_of(str(known.get("digest")))
    ):
        known = _convert(folders, settings, on_progress)
        now = time.time_ns()
        if all(stamp.is_settled(now) for part in folders.values() for stamp in part.stamps):
            write_json(entry, known)
    if known["left_out"]:
        more = known["left_out"]
        warnings.warn(f"{more:,} files are left out: {known['skipped'][0]}", stacklevel=2)
    return _spec(folders, str(known["digest"]))


class _ListedFolder:
    """The files of a folder in the order of the rows, and their labels."""

    def __init__(self, folder: Folder, settings: Settings) -> None:
        self.folder = folder
        self.root = locate_folder(folder.path, settings)
        self.classes: list[str] = [] if folder.label_mode is None else self._class_names()
        files: list[str] = []
        numbers: list[int] = []
        for number, name in enumerate(self.classes or [""]):
            inside = self._files(self.root / name)
            files += inside
            numbers += [number] * len(inside)
        if not files:
            raise DatasetError(
                f"{self.root}: contains no {folder.words} ({', '.join(folder.suffixes)})"
                f"{' in its folders of classes' if self.classes else ''}; give the folder that does"
            )
        check_inside_root(folder.path, files, settings)
        order = np.arange(len(files))
        if folder.shuffle:  # as Keras shuffles the paths
            np.random.RandomState(folder.seed).shuffle(order)
        self.files = [files[index] for index in order]
        self.labels = self._labels(np.asarray(numbers)[order])
        self.stamps = [Stamp.of(Path(path)) for path in self.files]

    def request(self, suffix: str) -> dict[str, Any]:
        """What the decoding process is told."""
        options = self.folder.model_dump(mode="json", exclude={"path", "class_names"})
        return {
            "kind": self.folder.kind,
            "suffix": suffix,
            "files": [os.path.abspath(path) for path in self.files],
            "labels": self.labels,
            "label_dtype": _LABELS.get(str(self.folder.label_mode)),
            "options": options,
        }

    def _class_names(self) -> list[str]:
        with os.scandir(self.root) as entries:
            there = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
        wanted = self.folder.class_names
        if wanted is not None and (len(set(wanted)) != len(wanted) or set(wanted) != set(there)):
            raise DatasetError(
                f"{self.root}: class_names={wanted!r:.80} are not its folders,"
                f" {', '.join(there)[:80] or 'it has none'}"
            )
        if not 1 <= len(there) <= _MAX_CLASSES:
            raise DatasetError(
                f"{self.root}: has {len(there):,} folders, and each is a class (at most"
                f" {_MAX_CLASSES:,}); label_mode=None reads files without labels, y is x then"
            )
        if self.folder.label_mode == "binary" and len(there) != 2:
            raise DatasetError(
                f"{self.root}: has {len(there)} folders; label_mode='binary' is for two classes"
            )
        return there if wanted is None else wanted

    def _files(self, folder: Path) -> list[str]:
        files: list[str] = []
        for root, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                if name.lower().endswith(self.folder.suffixes) and not name.startswith("."):
                    files.append(os.path.join(root, name))
            if len(files) > MAX_FILES:
                raise DatasetError(
                    f"{folder}: contains more than {MAX_FILES:,} files; write them into one"
                    f" HDF5 file"
                )
        return files

    def _labels(self, numbers: Any) -> list[Any] | None:
        mode = self.folder.label_mode
        if mode is None:
            return None
        if mode == "categorical":
            return np.eye(len(self.classes), dtype="f4")[numbers].tolist()  # type: ignore[no-any-return]
        return numbers.reshape(-1, 1).tolist() if mode == "binary" else numbers.tolist()  # type: ignore[no-any-return]


def _key(folders: Mapping[str, _ListedFolder]) -> str:
    parts: list[Any] = [_VERSION]
    for suffix, folder in folders.items():
        stamps = [asdict(stamp) for stamp in folder.stamps]
        request = {**folder.request(suffix), "labels": None}
        parts.append([request, folder.labels and folder.classes, stamps])
    return str(hasher(json.dumps(parts).encode()).hexdigest())


def _convert(
    folders: Mapping[str, _ListedFolder], settings: Settings, on_progress: OnProgress | None
) -> dict[str, Any]:
    limits = Limits.of(settings)
    place = str(folders[""].root)
    requests = [folder.request(suffix) for suffix, folder in folders.items()]

    def told(done: int, count: int) -> None:
        if on_progress is not None:
            on_progress(f"{place}: {done:,} of {count:,} files decoded")

    with storage_files.draft(settings) as draft:
        answer: dict[str, Any] = talk(
            place,
            limits,
            lambda ask: ask(
                "convert", parts=requests, target=str(draft), max_bytes=limits.array_bytes
            ),
            on_progress=told,
        )
        storage_files.keep(settings, draft, storage_files.name_of(answer["digest"]))
    return answer


def _spec(folders: Mapping[str, _ListedFolder], digest: str) -> DatasetSpec:
    roles: dict[str, Any] = {}
    for suffix, folder in folders.items():
        roles[f"x{suffix}"] = f"x{suffix}"
        roles[f"y{suffix}"] = f"{'x' if folder.labels is None else 'y'}{suffix}"
    classes = folders[""].classes
    if classes:
        roles["categories"] = {"y": classes}
    return DatasetSpec(path=storage_files.path_in_spec(digest), **roles)
