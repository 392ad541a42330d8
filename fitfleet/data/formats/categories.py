"""Columns of text as numbers: the code of a word is its index in a list of categories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError

MAX_CATEGORIES = 10_000
_MAX_CHARACTERS = 256


def words_of(path: Path, name: str, column: Any) -> list[str]:
    """The sorted words of a column, "" last if some are missing. DatasetError for too many."""
    present = column.dropna()
    words = sorted(set(map(str, present.unique())))
    if len(words) > MAX_CATEGORIES or any(len(word) > _MAX_CHARACTERS for word in words):
        raise DatasetError(
            f"{path}: column {name!r} contains {len(words):,} different texts, at most"
            f" {MAX_CATEGORIES:,} of up to {_MAX_CHARACTERS} characters are categories; encode it"
            " first"
        )
    return [*words, ""] if len(present) < len(column) else words


def codes_of(path: Path, name: str, column: Any, words: Sequence[str]) -> Array:
    """The index of each cell in `words`, int64, shape (rows,). DatasetError for other cells."""
    import pandas

    text = column.astype(object).where(column.notna(), "").astype(str)
    codes = pandas.Categorical(text, categories=list(words)).codes.astype(np.int64)
    if len(codes) and codes.min() < 0:
        row = int(np.argmin(codes))
        word = text.iloc[row]
        what = f"{word[:40]!r}" if word else "a missing value"
        raise DatasetError(
            f"{path}: column {name!r} contains {what} in row {row + 1:,}, which is not one of its"
            f" {len(words):,} categories; add it to categories={{{name!r}: [...]}} ('' for a"
            " missing value), or correct the data"
        )
    return np.asarray(codes)


def is_text(column: Any) -> bool:
    """Whether no cell is a number: a column of words, not of numbers with a misprint."""
    present = column.dropna()
    return len(present) > 0 and not any(map(_is_number, present.unique()))


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        value = value.strip().replace(",", "")
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
