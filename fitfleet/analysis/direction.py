"""Which way a metric is better, told by its name as Keras's own metrics are named."""

from __future__ import annotations

import re
from typing import Literal

from fitfleet.errors import FitfleetError

Direction = Literal["minimize", "maximize"]

_MAXIMIZE = re.compile(
    r"accuracy|precision|recall|sensitivity|specificity|similarity|proximity"
    r"|(^|_)(acc|auc|f1|f1_score|fbeta|fbeta_score|iou|r2|r2_score|top_k|in_top_k)(_|$)"
)
_MINIMIZE = re.compile(
    r"loss|error|crossentropy|perplexity|divergence|entropy|hinge|poisson|log_?cosh|huber"
    r"|(^|_)(mse|mae|mape|msle|rmse|kld)(_|$)"
)


def direction_of(metric: str, given: str | None = None) -> Direction:
    """`given`, or what the name tells: losses and errors are minimized, accuracies maximized.

    FitfleetError for a direction misspelt, or for a name that tells nothing.
    """
    if given is not None:
        if given not in ("minimize", "maximize"):
            raise FitfleetError(f"direction: {given!r} is neither 'minimize' nor 'maximize'")
        return "minimize" if given == "minimize" else "maximize"
    name = metric.lower()
    # Before the losses, since Keras's CosineSimilarity is a loss too but is named so as a metric.
    if _MAXIMIZE.search(name):
        return "maximize"
    if _MINIMIZE.search(name):
        return "minimize"
    raise FitfleetError(
        f"{metric}: its name does not tell whether more or less of it is better;"
        " say direction='minimize' or direction='maximize' (--direction)"
    )
