"""The direction of a recorded metric: from the specification of its fit, else from its name.

A specification tells the class of a name. A name alone counts only if its last words are those of a
metric of common use; for other names the user has to state the direction.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.metric_values import has_several_values
from fitfleet.spec.keras_objects.object_documents import is_custom, snake_case

Direction = Literal["minimize", "maximize"]

_HIGHER = """
AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation CosineSimilarity
F1Score FBetaScore IoU MeanIoU OneHotIoU OneHotMeanIoU PearsonCorrelation Precision
PrecisionAtRecall R2Score Recall RecallAtPrecision SensitivityAtSpecificity
SparseCategoricalAccuracy SparseTopKCategoricalAccuracy SpecificityAtSensitivity
TopKCategoricalAccuracy TrueNegatives TruePositives
"""
_LOWER = """
BinaryCrossentropy CategoricalCrossentropy CategoricalHinge FalseNegatives FalsePositives Hinge
KLDivergence LogCoshError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError
MeanSquaredLogarithmicError Poisson RootMeanSquaredError SparseCategoricalCrossentropy SquaredHinge
"""
# Names in common use that are no class of Keras.
_COMMONLY_HIGHER = """
acc f1 fbeta r2 iou mean_iou roc_auc sensitivity specificity similarity proximity top_k
"""
_COMMONLY_LOWER = """
mse mae mape msle rmse kld bce ce nll error errors error_rate crossentropy cross_entropy log_cosh
logcosh huber perplexity divergence negative_log_likelihood
"""
# These words reverse the direction of a name or change its meaning: accuracy_drop, neg_mse.
_TURNING = """
neg negative minus inverse inverted inv non no not anti drop gain gap delta diff difference change
reduction improvement std var variance spread ratio max min target budget
"""


def _directions_of(higher: str, lower: str) -> dict[str, Direction]:
    directions: dict[str, Direction] = dict.fromkeys(higher.split(), "maximize")
    return {**directions, **dict.fromkeys(lower.split(), "minimize")}


class NamedMetric(NamedTuple):
    """A metric of `compile`: `name` in the logs, before a prefix for its output."""

    name: str
    class_name: str
    direction: Direction | None
    has_several_values: bool = False


# Of Keras's metric classes; a test compares it with Keras.
CLASSES = _directions_of(_HIGHER, _LOWER)
_BY_SHAPE = _directions_of("accuracy acc", "crossentropy ce")


def agreed(name: str, specs: Iterable[Mapping[str, Any]]) -> Direction | None:
    """The direction by the specifications with that name, else by the name; None if unknown.

    Each has `loss`, `metrics` and `weighted_metrics`, as a JobSpec. None also if they differ.
    """
    directions: set[Direction | None] = set()
    for parts in specs:
        directions |= _directions(plain_name(name), parts)
    directions = {
        by_name(name) if direction is None else direction for direction in directions or {None}
    }
    return directions.pop() if len(directions) == 1 else None


def _directions(plain: str, parts: Mapping[str, Any]) -> set[Direction | None]:
    """The directions of the metrics with this name in one specification."""
    if plain == "loss" or _is_loss_of_output(plain, parts.get("loss")):
        return {"minimize"}
    named = metrics_named(plain, parts.get("metrics"), parts.get("weighted_metrics"))
    return {metric.direction for metric in named}


def metrics_named(plain: str, *parts: Any) -> list[NamedMetric]:
    """The metrics of `compile` that a name in the logs stands for: of fitting names the longest."""
    named = [metric for part in parts for metric in named_metrics(part)]
    fitting = [metric for metric in named if _is_named_after(plain, metric)]
    longest = max((len(metric.name) for metric in fitting), default=0)
    return [metric for metric in fitting if len(metric.name) == longest]


def by_name(name: str) -> Direction | None:
    """The direction by the last words of a name, if no other word contradicts them."""
    plain = re.sub(r"[_.]\d+$", "", plain_name(name).lower())
    if plain == "loss" or plain.endswith("_loss"):
        return "minimize"
    known = names_told()
    if plain in known:
        return known[plain]
    ends = [end for end in known if plain.endswith(f"_{end}")]
    if not ends:
        return None
    end = max(ends, key=len)
    before = plain.removesuffix(f"_{end}").split("_")
    against = {word for word, direction in known.items() if direction != known[end]}
    against |= {*_TURNING.split(), "loss"}
    return None if against & set(before) else known[end]


def plain_name(name: str) -> str:
    """The name of the metric in training: without val_, or test_ of scores."""
    return name.removeprefix("val_").removeprefix("test_")


@functools.cache
def names_told() -> dict[str, Direction]:
    """Names whose direction is known: those of Keras's metrics, and a few in common use."""
    names = _directions_of(_COMMONLY_HIGHER, _COMMONLY_LOWER)
    for class_name, direction in CLASSES.items():
        names[snake_case(class_name)] = direction
        signature = catalog.signature("metrics", class_name)
        default = None if signature is None else signature.defaults.get("name")
        if isinstance(default, str):
            names[default] = direction
    return names


def _is_loss_of_output(plain: str, loss: Any) -> bool:
    """Whether the name is `a_loss`, Keras's name for the loss of output `a`."""
    is_by_output = isinstance(loss, dict) and "class_name" not in loss
    return is_by_output and plain.endswith("_loss") and plain.removesuffix("_loss") in loss


def _is_named_after(plain: str, metric: NamedMetric) -> bool:
    """Whether the name is the metric's, with an output before it, or a counter after it.

    That of one of several values ends with its number: `f1_score.1`.
    """
    number = r"(\.\d+)?" if metric.has_several_values else ""
    pattern = rf"(.+_)?{re.escape(metric.name)}(_\d+)?{number}"
    return re.fullmatch(pattern, plain) is not None


def named_metrics(metrics: Any) -> Iterator[NamedMetric]:
    """Each metric in the structures that Keras's compile takes."""
    if isinstance(metrics, str):
        class_name, direction = _of_identifier(metrics)
        yield NamedMetric(metrics, class_name, direction, has_several_values(class_name, {}))
    elif isinstance(metrics, list):
        for part in metrics:
            yield from named_metrics(part)
    elif isinstance(metrics, dict) and "class_name" not in metrics:
        for part in metrics.values():
            yield from named_metrics(part)
    elif isinstance(metrics, dict):
        config, class_name = metrics.get("config"), str(metrics["class_name"])
        given = config.get("name") if isinstance(config, dict) else config
        name = str(given or _default_name(class_name))
        if is_custom(metrics):
            yield NamedMetric(name, class_name, None)
        else:
            several = has_several_values(class_name, config)
            yield NamedMetric(name, class_name, CLASSES.get(class_name), several)


def _of_identifier(identifier: str) -> tuple[str, Direction | None]:
    name = str(
        catalog.class_name("metrics", identifier) or catalog.function_name("metrics", identifier)
    )
    return name, _BY_SHAPE.get(identifier) or CLASSES.get(name)


def _default_name(class_name: str) -> str:
    signature = catalog.signature("metrics", class_name)
    given = None if signature is None else signature.defaults.get("name")
    return given if isinstance(given, str) else snake_case(class_name)
