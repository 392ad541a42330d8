"""Branches for losses, metrics and activations: one head each, under every condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from branches import ROWS, Branch

from fitfleet.spec.keras_names import catalog

L = keras.layers
CLASSES = 3


def _classes(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, CLASSES, (ROWS, *shape[:-1]))


def _one_hot(shape: tuple[int, ...]) -> np.ndarray:
    return np.eye(CLASSES, dtype="float32")[_classes(shape)]


def _binary(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 2, (ROWS, *shape)).astype("float32")


def _signs(shape: tuple[int, ...]) -> np.ndarray:
    return _binary(shape) * 2 - 1


def _words(shape: tuple[int, ...]) -> np.ndarray:
    """Two symbols for each row of steps; 0 is the blank of CTC, and ends the shorter ones."""
    words = np.random.default_rng(5).integers(1, CLASSES, (ROWS, 2))
    words[::4, 1] = 0
    return words


# (target, activation, width of the head)
_PROBABILITIES = (_one_hot, "softmax", CLASSES)
_LABELS = (_classes, "softmax", CLASSES)
_YES = (_binary, "sigmoid", 1)
_NUMBERS = (None, "softplus", 2)
_SIGNED = (_signs, "tanh", 2)
_SYMBOLS = (_words, "linear", CLASSES)
_EMBEDDED = (_classes, "tanh", 4)

LOSSES: dict[str, tuple[Any, str, int]] = {
    "BinaryCrossentropy": _YES,
    "BinaryFocalCrossentropy": _YES,
    "CategoricalCrossentropy": _PROBABILITIES,
    "CategoricalFocalCrossentropy": _PROBABILITIES,
    "CategoricalGeneralizedCrossEntropy": _LABELS,
    "CategoricalHinge": _PROBABILITIES,
    "CTC": _SYMBOLS,
    "Circle": _EMBEDDED,
    "CosineSimilarity": _NUMBERS,
    "Dice": _YES,
    "Hinge": _SIGNED,
    "Huber": _NUMBERS,
    "KLDivergence": _PROBABILITIES,
    "LogCosh": _NUMBERS,
    "MeanAbsoluteError": _NUMBERS,
    "MeanAbsolutePercentageError": _NUMBERS,
    "MeanSquaredError": _NUMBERS,
    "MeanSquaredLogarithmicError": _NUMBERS,
    "Poisson": _NUMBERS,
    "SparseCategoricalCrossentropy": _LABELS,
    "SquaredHinge": _SIGNED,
    "Tversky": _YES,
}
METRICS: dict[str, tuple[tuple[Any, str, int], dict[str, Any]]] = {
    "AUC": (_YES, {}),
    "Accuracy": (_NUMBERS, {}),
    "BinaryAccuracy": (_YES, {}),
    "BinaryCrossentropy": (_YES, {}),
    "BinaryIoU": (_YES, {}),
    "CategoricalAccuracy": (_PROBABILITIES, {}),
    "CategoricalCrossentropy": (_PROBABILITIES, {}),
    "CategoricalHinge": (_PROBABILITIES, {}),
    "ConcordanceCorrelation": (_NUMBERS, {}),
    "CosineSimilarity": (_NUMBERS, {}),
    "F1Score": (_PROBABILITIES, {"average": "macro"}),
    "FBetaScore": (_PROBABILITIES, {"average": "micro"}),
    "FalseNegatives": (_YES, {}),
    "FalsePositives": (_YES, {}),
    "Hinge": (_SIGNED, {}),
    "IoU": (_YES, {"num_classes": 2, "target_class_ids": [0]}),
    "KLDivergence": (_PROBABILITIES, {}),
    "LogCoshError": (_NUMBERS, {}),
    "MeanAbsoluteError": (_NUMBERS, {}),
    "MeanAbsolutePercentageError": (_NUMBERS, {}),
    "MeanIoU": (_YES, {"num_classes": 2}),
    "MeanSquaredError": (_NUMBERS, {}),
    "MeanSquaredLogarithmicError": (_NUMBERS, {}),
    "OneHotIoU": (_PROBABILITIES, {"num_classes": 3, "target_class_ids": [0, 2]}),
    "OneHotMeanIoU": (_PROBABILITIES, {"num_classes": 3}),
    "PearsonCorrelation": (_NUMBERS, {}),
    "Poisson": (_NUMBERS, {}),
    "Precision": (_YES, {}),
    "PrecisionAtRecall": (_YES, {"recall": 0.5}),
    "R2Score": (_NUMBERS, {}),
    "Recall": (_YES, {}),
    "RecallAtPrecision": (_YES, {"precision": 0.5}),
    "RootMeanSquaredError": (_NUMBERS, {}),
    "SensitivityAtSpecificity": (_YES, {"specificity": 0.5}),
    "SparseCategoricalAccuracy": (_LABELS, {}),
    "SparseCategoricalCrossentropy": (_LABELS, {}),
    "SparseTopKCategoricalAccuracy": (_LABELS, {"k": 2}),
    "SpecificityAtSensitivity": (_YES, {"sensitivity": 0.5}),
    "SquaredHinge": (_SIGNED, {}),
    "TopKCategoricalAccuracy": (_PROBABILITIES, {"k": 2}),
    "TrueNegatives": (_YES, {}),
    "TruePositives": (_YES, {}),
}
# These take no steps, or have no form in a stack: on a head of their own they stop no others.
_APART = frozenset(
    "BinaryIoU F1Score FBetaScore IoU MeanIoU OneHotIoU OneHotMeanIoU R2Score".split()  # noqa: SIM905
)


class Condition(NamedTuple):
    """Under which a head is trained."""

    has_steps: bool = False
    is_masked: bool = False
    weighted: str = ""  # as of a Branch
    scale: float = 1.0  # of what the head is given


CONDITIONS: dict[str, Condition] = {
    "rows": Condition(),
    "rows, masked inside": Condition(is_masked=True),
    "rows weighted": Condition(weighted="rows"),
    # Probabilities are 0 or 1 to the last bit, where a crossentropy needs the logits.
    "rows, saturated": Condition(scale=200.0),
    "steps": Condition(has_steps=True),
    "steps masked": Condition(has_steps=True, is_masked=True),
    "steps weighted": Condition(has_steps=True, weighted="steps"),
    "steps masked, steps weighted": Condition(has_steps=True, is_masked=True, weighted="steps"),
    "steps masked, rows weighted": Condition(has_steps=True, is_masked=True, weighted="rows"),
}
_OF_STEPS, _OF_ROWS = frozenset({"CTC"}), frozenset({"Circle"})  # what Keras allows them
# By classes, so not by numbers; and by rows, for Keras gives no class weights to steps.
CLASS_WEIGHTS = {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}
_CLASSIFIED = (_one_hot, _classes, _binary)
ACTIVATIONS = sorted(
    {
        str(catalog.function_name("activations", identifier))
        for identifier in catalog.identifiers("activations")
    }
)


def _head(condition: str, activation: str, width: int) -> Callable[[Any], Any]:
    given = CONDITIONS[condition]

    def build(series: Any) -> Any:
        hidden = L.Masking()(series) if given.is_masked else series
        if not given.has_steps:
            hidden = L.GlobalAveragePooling1D()(L.Dense(3, activation="tanh")(hidden))
        if given.scale != 1:
            hidden = L.Rescaling(given.scale)(hidden)
        return L.Dense(width, activation=activation)(hidden)

    return build


def _source(condition: str) -> str:
    """A row without any step has no mean."""
    given = CONDITIONS[condition]
    return "part" if given.is_masked and not given.has_steps else "series"


def loss_branches(condition: str) -> list[Branch]:
    """Every loss, each with a head that gives what it takes."""
    has_steps, weighted = CONDITIONS[condition].has_steps, CONDITIONS[condition].weighted
    return [
        Branch(
            f"loss {name}",
            _source(condition),
            _head(condition, activation, width),
            loss={"class_name": name, "module": "keras.losses", "config": {}},
            target=target,
            weighted="rows" if weighted and name in _OF_STEPS else weighted,
        )
        for name, (target, activation, width) in LOSSES.items()
        if name not in (_OF_ROWS if has_steps else _OF_STEPS)
    ]


def classified(branches: list[Branch]) -> list[Branch]:
    """Those whose targets are classes, which class weights go with."""
    return [branch for branch in branches if branch.target in _CLASSIFIED]


def metric_branches(condition: str) -> list[Branch]:
    """Every metric, all that take one kind of output on one head."""
    weighted = CONDITIONS[condition].weighted
    heads: dict[Any, list[str]] = {}
    for name, (head, _) in METRICS.items():
        heads.setdefault(name if name in _APART else id(head), []).append(name)
    return [_metrics_on(names, condition, weighted) for names in heads.values()]


def _metrics_on(names: list[str], condition: str, weighted: str) -> Branch:
    target, activation, width = METRICS[names[0]][0]
    return Branch(
        "metric " + " ".join(names),
        _source(condition),
        _head(condition, activation, width),
        target=target,
        # A squared error would not take whole numbers as classes.
        loss="sparse_categorical_crossentropy" if target is _classes else "mse",
        metrics=[
            {"class_name": name, "module": "keras.metrics", "config": METRICS[name][1]}
            for name in names
        ],
        weighted=weighted,
    )


def activation_branches() -> list[Branch]:
    """Every activation, inside a Dense layer."""

    def build(name: str) -> Callable[[Any], Any]:
        return lambda series: L.Dense(2)(L.Dense(4, activation=name)(series))

    return [Branch(f"activation {name}", "series", build(name)) for name in ACTIVATIONS]
