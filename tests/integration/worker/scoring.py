"""Evaluators of a user, good and bad, and a marker of what they were given."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np


def off(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """The mean error, scaled; only if the context is complete."""
    assert context["x_test"].shape == context["x"].shape
    assert context["dataset"].endswith("data.h5")
    assert context["job_id"] > 0
    factor = context["arguments"].get("factor", 1.0)
    return {"off": float(np.abs(y_true - y_pred).mean()) * factor}


def broken(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """Divides by nothing."""
    raise ZeroDivisionError("the scale has no notes")


def words(y_true: Any, y_pred: Any, context: dict[str, Any]) -> Any:
    """Gives what cannot be recorded."""
    return {"mood": "happy"}


def endless(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """Hangs."""
    time.sleep(600)
    return {}


_hoard: list[Any] = []


def hoarded(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """Keeps memory for good."""
    _hoard.append(np.ones(context["arguments"]["bytes"], "uint8"))
    return {}


def held(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """Ends when a file is there, after it has said which process waits for it."""
    until = Path(context["arguments"]["until"])
    until.with_suffix(".pid").write_text(str(os.getpid()))
    while not until.exists():
        time.sleep(0.01)
    return {"pid": float(os.getpid())}
