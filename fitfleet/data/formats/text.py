"""Text in arrays: UTF-8 in byte strings of one width, as TensorFlow reads them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fitfleet.data.formats.source import MAX_TEXT_BYTES as MAX_TEXT_BYTES
from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError


def text_array(place: str, texts: Iterable[object]) -> Array:
    """One row a text, zero bytes after its end; what is missing (None, NaN) is "".

    Raises DatasetError for what is no text, for a zero byte in it, and above MAX_TEXT_BYTES.
    """
    rows = [_bytes(place, number, one) for number, one in enumerate(texts)]
    return np.array(rows, dtype=f"S{max(1, max(map(len, rows), default=1))}")


def is_text_array(found: Array) -> bool:
    """Whether an array holds nothing but texts and gaps between them."""
    if found.dtype.kind in "US":
        return True
    values = found.ravel()
    return (
        found.dtype.kind == "O"
        and any(isinstance(one, str | bytes) for one in values)
        and all(one is None or isinstance(one, str | bytes) or one != one for one in values)
    )


def _bytes(place: str, number: int, value: object) -> bytes:
    if value is None or value != value:  # NaN, pandas' word for a missing text
        return b""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        raise DatasetError(
            f"{place}: row {number + 1:,} holds {value!r:.40}, not text; make every row a text"
        )
    if "\0" in value:
        raise DatasetError(f"{place}: row {number + 1:,} holds a zero byte, which ends a text")
    found = value.encode("utf-8", errors="replace")
    if len(found) > MAX_TEXT_BYTES:
        raise DatasetError(
            f"{place}: row {number + 1:,} has {len(found):,} bytes of text; at most"
            f" {MAX_TEXT_BYTES:,} are read, cut it"
        )
    return found
