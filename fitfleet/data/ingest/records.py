"""TFRecord files as a dataset: read once to a file of the storage, named by its content."""

from __future__ import annotations

import fnmatch
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import Stamp, read_json, write_json
from fitfleet.data.files.location import check_inside_root, locate_file, locate_folder
from fitfleet.data.formats.file import hasher
from fitfleet.data.ingest.folders import MAX_FILES, OnProgress
from fitfleet.data.inspection.checker import talk
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.records import TFRecord, names_in
from fitfleet.spec.job import DatasetSpec

# In the key of what is remembered: another number when examples are read in another way.
_VERSION = 1


def of_records(
    parts: Mapping[str, TFRecord], settings: Settings, on_progress: OnProgress | None = None
) -> DatasetSpec:
    """The dataset of TFRecord files, by the suffix of their roles: {"": training, "_val": ...}.

    Examples are read by the process that may die of them; what it wrote is remembered by the
    files' names and stamps. Raises DatasetError for a file that is not there or damaged, and for an
    example without the features; StorageError.
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
    request = [_VERSION, requests, [asdict(stamp) for stamp in stamps]]
    entry = Path(settings.cache) / "decoded" / f"{_hash(request)}.json"
    known = read_json(entry)
    if known is None or not storage_files.is_there(
        settings, storage_files.name_of(str(known.get("digest")))
    ):
        known = _convert(str(files_of[""][0]), requests, settings, limits, on_progress)
        now = time.time_ns()
        if all(stamp.is_settled(now) for stamp in stamps):
            write_json(entry, known)
    return DatasetSpec(path=storage_files.path_in_spec(str(known["digest"])), **_roles(parts))


def _hash(request: Any) -> str:
    return str(hasher(json.dumps(request).encode()).hexdigest())


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


def _convert(
    place: str,
    requests: list[dict[str, Any]],
    settings: Settings,
    limits: Limits,
    on_progress: OnProgress | None,
) -> dict[str, Any]:
    def report(done: int, _: int) -> None:
        if on_progress is not None:
            on_progress(f"{place}: {done:,} examples read")

    with storage_files.draft(settings) as draft:
        answer: dict[str, Any] = talk(
            place,
            limits,
            lambda ask: ask(
                "records", parts=requests, target=str(draft), max_bytes=limits.array_bytes
            ),
            on_progress=report,
        )
        storage_files.keep(settings, draft, storage_files.name_of(answer["digest"]))
    return answer


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
