"""JSON as it goes over the HTTP API, with a form for numbers that JSON has not.

Numbers that are not finite are `{"$float": "nan" | "inf" | "-inf"}`. Floats are written so that
they read back bit for bit. A host that joins needs no more than this: no database, no results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

_FLOAT = "$float"


def to_json(value: Any) -> bytes:
    """A value as UTF-8 JSON: dataclasses as objects, tuples as lists, NumPy's numbers as numbers.

    TypeError for anything else that JSON has no form for.
    """
    return json.dumps(_plain(value), allow_nan=False, separators=(",", ":")).encode()


def from_json(text: bytes | str) -> Any:
    """The value again. ValueError for what is no JSON or is nested too deep."""
    try:
        return json.loads(text, object_hook=_special)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(float(value))}
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item") and hasattr(value, "dtype"):  # a number of NumPy
        return _plain(value.item())
    return value


def _special(document: dict[str, Any]) -> Any:
    if document.keys() == {_FLOAT} and document[_FLOAT] in ("nan", "inf", "-inf"):
        return float(document[_FLOAT])
    return document
