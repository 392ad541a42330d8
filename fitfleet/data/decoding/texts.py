"""Texts in UTF-8, one text per file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.decoding.decoder import UnreadableError, read_bytes
from fitfleet.data.formats.source import Array
from fitfleet.data.formats.text import MAX_TEXT_BYTES


class Texts:
    """Rows are byte strings, all as wide as the longest."""

    def __init__(
        self, options: Mapping[str, Any], files: Sequence[Path], on_file: Callable[[], None]
    ) -> None:
        self._max_length = options["max_length"]
        longest = 1
        for path in files:
            on_file()
            longest = max(longest, min(path.stat().st_size, MAX_TEXT_BYTES))
        self.shape: tuple[int, ...] = ()
        self.dtype = np.dtype(f"S{min(longest, self._max_length or longest)}")

    def row(self, path: Path) -> Array:
        """One text. Raises UnreadableError."""
        data = read_bytes(path, 2**31 if self._max_length else MAX_TEXT_BYTES)
        if self._max_length:
            data = data[: self._max_length]
        try:
            # A cut in the middle of a character leaves that character out.
            text = data.decode("utf-8", errors="ignore" if self._max_length else "strict")
        except UnicodeDecodeError as error:
            raise UnreadableError(f"is not UTF-8 (byte {error.start:,})") from None
        if "\0" in text:
            raise UnreadableError("contains a zero byte, so it is not text")
        return np.array(text.encode(), self.dtype)
