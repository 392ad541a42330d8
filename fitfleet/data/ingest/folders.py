"""A folder of files as a dataset: decoded once to a file of the storage, named by its content."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp
from fitfleet.data.files.location import check_inside_root, locate_folder
from fitfleet.data.ingest.conversion import OnProgress, convert, convert_once
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.folders import Folder
from fitfleet.spec.job import DatasetSpec

MAX_FILES = 200_000
_MAX_CLASSES = 10_000
# Part of the cache's key: increment it when files are decoded in another way.
_VERSION = 1
_LABELS = {"int": "int32", "categorical": "float32", "binary": "float32"}


def decoded(
    parts: Mapping[str, Folder], settings: Settings, on_progress: OnProgress | None = None
) -> DatasetSpec:
    """The dataset of folders, by the suffix of their roles: {"": training, "_val": validation}.

    Files are decoded by the process that reads untrusted files; the result is cached by the files'
    names and stamps, so that a second call reads no file. Raises DatasetError for a folder that is
    missing or has no such files, for classes that differ between the two, and for a file that
    cannot be decoded; StorageError.
    """
    folders = {suffix: _ListedFolder(folder, settings) for suffix, folder in parts.items()}
    first = folders[""]
    for part in folders.values():
        if part.classes != first.classes:
            raise DatasetError(
                f"{part.root}: has the classes {', '.join(part.classes)[:80]}, not those of"
                f" {first.root}, {', '.join(first.classes)[:80]}; name them in class_names"
            )
    stamps = [stamp for part in folders.values() for stamp in part.stamps]

    def decode() -> dict[str, Any]:
        requests = [folder.request(suffix) for suffix, folder in folders.items()]
        progress = "{done:,} of {count:,} files decoded"
        return convert("convert", str(first.root), settings, on_progress, progress, parts=requests)

    answer = convert_once(_identity(folders), stamps, settings, decode)
    if answer["left_out"]:
        count, reason = answer["left_out"], answer["skipped"][0]
        warnings.warn(f"{count:,} files are left out: {reason}", stacklevel=2)
    return _spec(folders, str(answer["digest"]))


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
        """What the checking process needs to decode the files."""
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
            present = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
        names = self.folder.class_names
        if names is not None and (len(set(names)) != len(names) or set(names) != set(present)):
            raise DatasetError(
                f"{self.root}: class_names={names!r:.80} are not its folders,"
                f" {', '.join(present)[:80] or 'it has none'}"
            )
        if not 1 <= len(present) <= _MAX_CLASSES:
            raise DatasetError(
                f"{self.root}: has {len(present):,} folders, and each is a class (at most"
                f" {_MAX_CLASSES:,}); label_mode=None reads files without labels, y is x then"
            )
        if self.folder.label_mode == "binary" and len(present) != 2:
            raise DatasetError(
                f"{self.root}: has {len(present)} folders; label_mode='binary' is for two classes"
            )
        return present if names is None else names

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


def _identity(folders: Mapping[str, _ListedFolder]) -> list[Any]:
    """What decides about the decoded rows: options, files, classes, and the files' stamps."""
    parts: list[Any] = [_VERSION]
    for suffix, folder in folders.items():
        stamps = [asdict(stamp) for stamp in folder.stamps]
        request = {**folder.request(suffix), "labels": None}
        parts.append([request, folder.labels and folder.classes, stamps])
    return parts


def _spec(folders: Mapping[str, _ListedFolder], digest: str) -> DatasetSpec:
    roles: dict[str, Any] = {}
    for suffix, folder in folders.items():
        roles[f"x{suffix}"] = f"x{suffix}"
        roles[f"y{suffix}"] = f"{'x' if folder.labels is None else 'y'}{suffix}"
    classes = folders[""].classes
    if classes:
        roles["categories"] = {"y": classes}
    return DatasetSpec(path=storage_files.path_in_spec(digest), **roles)
