"""The curve of a job as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fitfleet.db.reading.lookup import MetricValue

if TYPE_CHECKING:
    import pandas as pd


def frame(points: Sequence[MetricValue]) -> pd.DataFrame:
    """One row an epoch: `epoch`, `loss`, the metrics, `val_loss`, the validation metrics."""
    import pandas as pd

    epochs: dict[int, dict[str, float]] = {}
    for point in points:
        value = float("nan") if point.value is None else point.value
        epochs.setdefault(point.epoch, {})[point.name] = value
    names = sorted({point.name for point in points}, key=metric_order)
    rows = [{"epoch": epoch, **epochs[epoch]} for epoch in sorted(epochs)]
    return pd.DataFrame(rows, columns=["epoch", *names])


def metric_order(name: str) -> tuple[bool, bool, str]:
    """Training before validation, the loss before its metrics."""
    plain = name.removeprefix("val_")
    return (name != plain, plain != "loss", plain)
