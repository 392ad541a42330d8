"""Names of the columns of a table that shows parameters beside what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def param_columns(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Parameter -> its column: its own name, or `params.` and its name where that is taken.

    A sweep over losses has a parameter `loss`, which is not the loss that its jobs recorded.
    """
    used = set(taken)
    columns: dict[str, str] = {}
    for name in names:
        column = _whole(name)
        while column in used:
            column = f"params.{column}"
        used.add(column)
        columns[name] = column
    return columns


def named(params: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The parameters by their columns."""
    return {columns[name]: _whole(value) for name, value in params.items()}


def _whole(value: Any) -> Any:
    """Text without halves of characters, which JSON can say and no table can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
