"""The declaration of several files as one dataset, with their rows concatenated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fitfleet.errors import DatasetError

MAX_FILES = 10_000


@dataclass(frozen=True)
class Files:
    """Paths, and the fields of `Dataset` that all of them share."""

    paths: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)


def as_files(value: Any) -> Files | None:
    """Files of a list of paths or of {"path": [paths], ...}; None for anything else.

    Raises DatasetError for a list of paths and other values, and for too many paths.
    """
    if isinstance(value, Files):
        return value
    fields: dict[str, Any] = {}
    if isinstance(value, Mapping) and isinstance(value.get("path"), list | tuple):
        fields = {name: part for name, part in value.items() if name != "path"}
        value = value["path"]
    if not isinstance(value, list | tuple) or not value:
        return None
    are_paths = [isinstance(part, str | os.PathLike) for part in value]
    if not all(are_paths):
        if fields or (any(are_paths) and not any(hasattr(part, "__array__") for part in value)):
            raise DatasetError(f"dataset.path: {value!r:.80} is not a list of paths")
        return None
    if len(value) > MAX_FILES:
        raise DatasetError(f"dataset.path: {len(value):,} files; at most {MAX_FILES:,} are joined")
    return Files(tuple(map(os.fspath, value)), fields)
