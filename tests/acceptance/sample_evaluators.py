"""Evaluators of the tests here, as a user would write them."""

from __future__ import annotations

from typing import Any


def speaks(y_true: Any, y_pred: Any, context: Any) -> dict[str, float]:
    """Prints what it sees."""
    print(f"scored {len(y_pred)} rows")
    return {"rows": float(len(y_pred))}


def fails(y_true: Any, y_pred: Any, context: Any) -> dict[str, float]:
    """Has a mistake in it."""
    raise ValueError("there is no scale in C sharp")
