"""A DataFrame as CSV or Parquet."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.errors import FitfleetError, MissingExtraError
from fitfleet.text import printable, printable_lines

if TYPE_CHECKING:
    import pandas as pd

# What spreadsheets begin a formula with.
_FORMULAS = ("=", "+", "-", "@", "\t")


def write_csv(table: pd.DataFrame, path: str | Path) -> Path:
    """UTF-8, comma separated, a header line. FitfleetError if it cannot be written.

    Text that a spreadsheet would take for a formula (it begins with =, +, -, @) has a ' before it;
    control characters are escapes.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        flat = _flat(table)
        for name in flat.columns:
            if flat[name].dtype.kind not in "fiub":
                flat[name] = [_harmless(value) for value in flat[name]]
        flat.columns = [_harmless(str(name)) for name in flat.columns]
        flat.to_csv(target, index=False)
    except OSError as error:
        raise FitfleetError(f"{target}: cannot be written: {error.strerror}") from None
    return target


def write_parquet(table: pd.DataFrame, path: str | Path) -> Path:
    """Parquet by pyarrow. MissingExtraError without it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet")
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _flat(table).to_parquet(target, index=False)
    except OSError as error:
        raise FitfleetError(f"{target}: cannot be written: {error.strerror}") from None
    return target


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of one type each: lists and objects as JSON, mixed values as text."""
    flat = table.copy()
    flat.columns = [printable(name) for name in flat.columns]
    for name in flat.columns:
        if flat[name].dtype == object:
            kinds = {type(value) for value in flat[name] if value is not None}
            if len(kinds) > 1 or kinds & {list, dict, tuple}:
                flat[name] = [_text(value) for value in flat[name]]
    return flat


def _harmless(value: Any) -> Any:
    """Text of others that no spreadsheet computes, and no terminal obeys. Numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = printable_lines(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
