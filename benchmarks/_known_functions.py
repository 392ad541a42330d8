"""Functions whose minimum is known, as evaluators: what a fit returns is their value."""

from __future__ import annotations

import math
from typing import Any


def branin(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """Branin's function of x in -5..10 and y in 0..15; its minimum is 0.397887."""
    point = context["arguments"]
    return {"cost": branin_value(point["x"], point["y"])}


def branin_value(x: float, y: float) -> float:
    """The same for plain numbers."""
    bend = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
