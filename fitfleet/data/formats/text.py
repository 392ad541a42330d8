"""Text in arrays: UTF-8 in byte strings of one width, as TensorFlow reads them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fitfleet.data.formats.source import MAX_TEXT_BYTES as MAX_TEXT_BYTES
from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError


def text_array(place: str, texts: Iterable[object]) -> Array:
    """Byte strings of UTF-8, shape (rows,), padded with zero bytes; missing texts are "".

    Raises DatasetError for other values, for a zero byte in a text, and above MAX_TEXT_BYTES.
    """
    rows = [_bytes(place, number, text) for number, text in enumerate(texts)]
    return np.array(rows, dtype=f"S{max(1, max(map(len, rows), default=1))}")


def is_text_array(array: Array) -> bool:
    """Whether an array contains only texts and missing values."""
    if array.dtype.kind in "US":
        return True
    values = array.ravel()
    return (
        array.dtype.kind == "O"
        and any(isinstance(value, str | bytes) for value in values)
        and all(
            value is None or isinstance(value, str | bytes) or value != value for value in values
        )
    )


def _bytes(place: str, number: int, value: object) -> bytes:
    if value is None or value != value:  # NaN is a missing text in pandas
        return b""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        raise DatasetError(
            f"{place}: row {number + 1:,} contains {value!r:.40}, not text; make every row a text"
        )
    if "\0" in value:
        raise DatasetError(f"{place}: row {number + 1:,} contains a zero byte, which ends a text")
    encoded = value.encode("utf-8", errors="replace")
    if len(encoded) > MAX_TEXT_BYTES:
        raise DatasetError(
            f"{place}: row {number + 1:,} has {len(encoded):,} bytes of text; at most"
            f" {MAX_TEXT_BYTES:,} are read, cut it"
        )
    return encoded
