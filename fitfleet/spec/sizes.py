"""Sizes of memory as users write them."""

from __future__ import annotations

import re
from typing import Any

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([kMGT]?)(i?)B")
_POWERS = {"": 0, "k": 1, "M": 2, "G": 3, "T": 4}
_SHOWN_STEP = 10**8  # bytes


def size_bytes(value: Any) -> int | None:
    """Bytes of `6GB`, `512 MiB` or a number of bytes; None for other values, and for 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 < value < 2**62 else None
    parts = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        return None
    number, prefix, binary = parts.groups()
    count = int(float(number) * (1024 if binary else 1000) ** _POWERS[prefix])
    return count if 0 < count < 2**62 else None


def size_label(count: int) -> str:
    """Bytes as a label, rounded down to 0.1 GB, so that similar hosts have equal labels."""
    return f"{count // _SHOWN_STEP / 10:g}GB"
