"""TFRecord files as a dataset: read once to a file of the storage, named by its content."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp
from fitfleet.data.files.location import check_inside_root, locate_file, locate_folder
from fitfleet.data.ingest.conversion import OnProgress, convert, convert_once
from fitfleet.data.ingest.folders import MAX_FILES
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.records import TFRecord, names_in
from fitfleet.spec.job import DatasetSpec

# Part of the cache's key: increment it when examples are read in another way.
_VERSION = 1


def of_records(
    parts: Mapping[str, TFRecord], settings: Settings, on_progress: OnProgress | None = None
) -> DatasetSpec:
    """The dataset of TFRecord files, by the suffix of their roles: {"": training, "_val": ...}.

    Examples are read by the process that reads untrusted files; the result is cached by the files'
    names and stamps. Raises DatasetError for a file that is missing or damaged, and for an example
    without the features; StorageError.
    """
    limits = Limits.of(settings)
    files_of = {suffix: _files(records, settings) for suffix, records in parts.items()}
    stamps = []
    for path in (path for files in files_of.values() for path in files):
        limits.check_file(path, "tfrecord", os.stat(path))
        stamps.append(Stamp.of(path))
    requests = [
        {
            "suffix": suffix,
            "files": [os.path.abspath(path) for path in files_of[suffix]],
            "features": {
                name: feature.model_dump(mode="json")
                for name, feature in sorted(records.features.items())
                if name in _used(records)
            },
            "compression": records.compression,
        }
        for suffix, records in parts.items()
    ]
    identity = [_VERSION, requests, [asdict(stamp) for stamp in stamps]]
    place = str(files_of[""][0])

    def read() -> dict[str, Any]:
        progress = "{done:,} examples read"
        return convert("records", place, settings, on_progress, progress, parts=requests)

    answer = convert_once(identity, stamps, settings, read)
    return DatasetSpec(path=storage_files.path_in_spec(str(answer["digest"])), **_roles(parts))


def _files(records: TFRecord, settings: Settings) -> list[Path]:
    """The files of paths and patterns, those of a pattern in the order of their names."""
    files: list[Path] = []
    for text in records.paths:
        folder, name = os.path.split(text)
        if not any(sign in name for sign in "*?["):
            files.append(locate_file(text, settings))
            continue
        root = locate_folder(folder or ".", settings)
        names = sorted(fnmatch.filter(os.listdir(root), name))
        if not names:
            raise DatasetError(f"dataset.path: no file in {str(root)!r:.120} is named {name!r:.60}")
        check_inside_root(text, [os.path.join(root, name) for name in names], settings)
        files += [root / name for name in names]
    if len(files) > MAX_FILES:
        raise DatasetError(f"dataset.path: {len(files):,} files; at most {MAX_FILES:,} are read")
    return files


def _used(records: TFRecord) -> set[str]:
    roles = (records.x, records.y, records.sample_weight)
    return {name for role in roles for name in names_in(role)}


def _roles(parts: Mapping[str, TFRecord]) -> dict[str, Any]:
    roles: dict[str, Any] = {}
    for suffix, records in parts.items():
        roles[f"x{suffix}"] = _named(records.x, suffix)
        roles[f"y{suffix}"] = _named(records.x if records.y is None else records.y, suffix)
        if records.sample_weight is not None:
            roles[f"sample_weight{suffix}"] = f"{records.sample_weight}{suffix}"
    return roles


def _named(role: Any, suffix: str) -> Any:
    if isinstance(role, str):
        return f"{role}{suffix}"
    if isinstance(role, dict):
        return {name: f"{feature}{suffix}" for name, feature in role.items()}
    return [f"{feature}{suffix}" for feature in role]
