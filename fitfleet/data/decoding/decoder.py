"""The interface of the decoders of files, and the error for a file that cannot be decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError


class UnreadableError(DatasetError):
    """A file that cannot be decoded; with skip_unreadable it is left out."""


class Decoder(Protocol):
    """`shape` and `dtype` of a row; `row` raises UnreadableError."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def row(self, path: Path) -> Array: ...


# (options, files, a callback for each inspected file) -> a decoder of rows that fit all of them.
Make = Callable[[Mapping[str, Any], Sequence[Path], Callable[[], None]], Decoder]


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file. Raises UnreadableError above `max_bytes`."""
    from fitfleet.data.files.location import open_regular

    with open_regular(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise UnreadableError(f"has more than {max_bytes:,} bytes")
    return content
