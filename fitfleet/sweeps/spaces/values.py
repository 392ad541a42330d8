"""Replacing the search spaces of a document by values."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.sweeps.spaces.parameters import REPEAT, repeat
from fitfleet.sweeps.spaces.paths import Path, Place, labels, opened, option_path

_MAX_BYTES = 2**22
ABSENT = object()  # stands where a space is no parameter of the point


@dataclass(frozen=True)
class Option:
    """The chosen option of a choice, in which there may be spaces to fill in."""

    path: Path
    value: Any

    @classmethod
    def of(cls, place: Place, label: Any) -> Option:
        """The option of that label. SearchError if there is none."""
        known = labels(place.space)
        if label not in known:
            raise SearchError(f"{label!r} is not one of the options {', '.join(known)}")
        index = known.index(label)
        return cls(option_path(place.path, index), place.space.options[index])


def replaced(value: Any, path: Path, values: Mapping[Path, Any]) -> Any:
    """A part of a document, at `path`, with what `values` has for places in it."""
    if path in values:
        chosen = values[path]
        if isinstance(chosen, Option):
            return replaced(chosen.value, chosen.path, values)
        return chosen
    value = opened(value)
    if isinstance(value, dict):
        parts = {key: replaced(part, (*path, str(key)), values) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not ABSENT}
    if isinstance(value, list | tuple):
        elements = [replaced(part, (*path, str(i)), values) for i, part in enumerate(value)]
        return [layer for part in elements for layer in _copies(part)]
    return value


def _copies(part: Any) -> list[Any]:
    """The layers that a repeat stands for, once its count is known; anything else is itself."""
    if not isinstance(part, dict) or REPEAT not in part or not isinstance(part.get("count"), int):
        return [part]
    layers = part[REPEAT] if isinstance(part[REPEAT], list) else [part[REPEAT]]
    count = repeat(layers, part["count"]).count
    if count * len(json.dumps(layers, default=str)) > _MAX_BYTES:
        raise SearchError(f"repeat: {count} copies are more than {_MAX_BYTES:,} bytes of JSON")
    return [copy.deepcopy(layer) for _ in range(count) for layer in layers]
