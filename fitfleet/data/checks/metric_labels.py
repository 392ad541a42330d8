"""Whether labels have the shape that metrics compare with an output.

Keras compares the shapes in the first step of a fit, where it fails with a message of an operator
or not at all: categorical_accuracy of class numbers gives a meaningless number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fitfleet.data.checks.label_checks import Shape, matches, shown
from fitfleet.data.info import ArrayInfo
from fitfleet.errors import SpecError
from fitfleet.spec.keras_names import catalog

_SPARSE = (
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
)
# Compare output and labels element by element. Of others nothing is assumed.
_ELEMENTWISE = frozenset(
    """
    BinaryAccuracy BinaryCrossentropy CategoricalAccuracy CategoricalCrossentropy CategoricalHinge
    TopKCategoricalAccuracy F1Score FBetaScore Precision Recall TruePositives TrueNegatives
    FalsePositives FalseNegatives AUC PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity
    SpecificityAtSensitivity MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError
    MeanSquaredLogarithmicError RootMeanSquaredError LogCoshError Hinge SquaredHinge KLDivergence
    Poisson
    """.split()  # noqa: SIM905
)
# Metrics of regressions: one label for each row may stand for all values of an output, as for
# quantiles.
_REGRESSION = frozenset(
    """
    MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError
    RootMeanSquaredError LogCoshError
    """.split()  # noqa: SIM905
)
_IOU = ("IoU", "MeanIoU")
_TWO_DIMENSIONS = ("F1Score", "FBetaScore")  # they add no last dimension to labels
_INSTEAD = {
    "CategoricalAccuracy": "take sparse_categorical_accuracy",
    "TopKCategoricalAccuracy": "take SparseTopKCategoricalAccuracy",
    "CategoricalCrossentropy": "take sparse_categorical_crossentropy",
    "BinaryAccuracy": "take sparse_categorical_accuracy",
    "MeanIoU": "give it sparse_y_pred=False",
    "IoU": "give it sparse_y_pred=False",
}


def check_metrics(
    metrics: Any, output: Shape, labels: ArrayInfo, place: str, has_class_numbers: bool
) -> None:
    """Raises SpecError for a metric of an output that cannot compare it with these labels.

    `output` and the labels' rows are without the batch; `place` names the labels, such as
    "dataset.y".
    """
    shape = labels.shape[1:]
    for name, config in _named(metrics):
        if not _fits(name, config, output, shape):
            hint = ""
            if name in _TWO_DIMENSIONS and output[-1:] == (1,):
                hint = "; store them with a last dimension of 1"
            if has_class_numbers and name not in _SPARSE:
                remedy = _INSTEAD.get(name, "make them one-hot and take categorical_crossentropy")
                hint = f"; they are class numbers: {remedy}"
            raise SpecError(
                "metrics",
                f"{name} cannot compare an output of shape {shown(output)} with {place} of shape"
                f" {shown(shape)}{hint}",
            )


def _fits(name: str, config: dict[str, Any], output: Shape, shape: tuple[int, ...]) -> bool:
    if name in _SPARSE:
        return matches(output[:-1], shape)
    if name in _IOU:
        expected = output if config.get("sparse_y_pred", True) else output[:-1]
        return matches(expected, shape if config.get("sparse_y_true", True) else shape[:-1])
    if name in _TWO_DIMENSIONS:
        return len(shape) == len(output) and matches(output, shape)
    if name in _REGRESSION and shape[-1:] == (1,) and len(shape) == len(output):
        return matches(output[:-1], shape[:-1])
    return name not in _ELEMENTWISE or matches(output, shape)


def metrics_of(metrics: Any, index: int, name: str, outputs: int) -> Any:
    """The metrics of an output, from a list for each or by name; of one output all of them."""
    if isinstance(metrics, dict) and "class_name" not in metrics:
        return metrics.get(name)
    if isinstance(metrics, list) and outputs > 1:
        return metrics[index] if index < len(metrics) else None
    return metrics


def _named(metrics: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """(class, arguments) of each metric of Keras; metrics of the user are left out."""
    if isinstance(metrics, list):
        for part in metrics:
            yield from _named(part)
    elif isinstance(metrics, str):
        name = catalog.class_name("metrics", metrics) or catalog.function_name("metrics", metrics)
        if name is not None:
            yield name, {}
    elif isinstance(metrics, dict) and metrics.get("module") == "keras.metrics":
        yield str(metrics.get("class_name")), metrics.get("config") or {}
