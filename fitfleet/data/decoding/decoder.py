"""What a kind of file is read by, and why one cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError


class UnreadableError(DatasetError):
    """A file that is no sample; it is left out if that was asked for."""


class Decoder(Protocol):
    """`shape` and `dtype` of a row; `row` raises UnreadableError."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def row(self, path: Path) -> Array: ...


# (options, files, called for each file that was looked at) -> a decoder that fits all of them.
Make = Callable[[Mapping[str, Any], Sequence[Path], Callable[[], None]], Decoder]


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file. Raises UnreadableError above `max_bytes`."""
    from fitfleet.data.files.location import open_regular

    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnreadableError(f"has more than {max_bytes:,} bytes")
    return content
