"""Chains of layers, whose steps the loop takes inside a loop of the graph, are equal to `fit`.

TensorFlow rewrites sums and products there otherwise than outside, so what is computed at the end
of a chain matters as much as its layers do: each loss, all metrics of a kind together, each
activation and optimizer.
"""

from __future__ import annotations

from typing import Any

import heads
import keras
import ledger
import matrix
import numpy as np
import pytest
from support.parts import sampled

from fitfleet.data.arrays import Arrays
from fitfleet.states import FailureClass
from fitfleet.worker.engines import proven_classes
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.recording.failures import classify

L = keras.layers
_FEATURES = 6
# Rewritten otherwise inside a loop: jobs with these take a step in a call.
_STEP_BY_STEP = {
    "losses": {"Circle", "CosineSimilarity", "LogCosh"},
    "metrics": {
        *("CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "LogCoshError"),
        *("PearsonCorrelation", "Poisson"),
    },
}
# Those of Poisson are NaN for numbers below 0.
_METRICS = {
    head: [name for name, (of, _) in heads.METRICS.items() if of == kind and name != "Poisson"]
    for head, kind in {
        "numbers": heads._NUMBERS,
        "yes or no": heads._YES,
        "one-hot": heads._PROBABILITIES,
        "classes": heads._LABELS,
        "signs": heads._SIGNED,
    }.items()
}


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def assert_loop_equals_fit(layers: list[Any], target: Any, **given: Any) -> None:
    """History, weights, optimizer and scores; a last batch that is smaller, rows with weights."""
    rows = heads.ROWS
    model = keras.Sequential([keras.Input((_FEATURES,)), *layers])
    y = _draw(rows, 2) if target is None else target(tuple(model.output_shape[1:]))
    arguments = {"optimizer": "adam", "loss": "mse", "epochs": 3, "batch_size": 8, **given}
    spec = ledger.spec(model, **arguments)
    x, weights = _draw(rows, _FEATURES), np.abs(_draw(rows))
    arrays = Arrays(
        x=x,
        y=y,
        sample_weight=weights,
        x_val=x[:7],
        y_val=y[:7],
        sample_weight_val=weights[:7],
    )
    alone, looped = (
        ledger.train(engine(ledger.SETTINGS), [ledger.prepared(spec, arrays, 0)])
        for engine in (KerasFit, LoopFit)
    )
    ledger.assert_same(alone, looped)


@pytest.mark.filterwarnings("ignore:You are passing weight:UserWarning")  # of Keras's IoU
@pytest.mark.parametrize("head", sampled(_METRICS, "numbers"))
def test_metrics_of_one_kind_stand_together(head: str) -> None:
    (target, activation, width), _ = heads.METRICS[_METRICS[head][0]]
    metrics = [
        {"class_name": name, "module": "keras.metrics", "config": heads.METRICS[name][1]}
        for name in _METRICS[head]
    ]
    assert_loop_equals_fit(
        [L.Dense(5, activation="relu"), L.Dense(width, activation=activation)],
        target,
        loss="sparse_categorical_crossentropy" if head == "classes" else "mse",
        metrics=metrics,
        weighted_metrics=metrics,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(sorted(set(heads.LOSSES) - {"CTC"}), "Huber", "Dice"))
def test_every_loss_equals_fit(name: str) -> None:
    target, activation, width = heads.LOSSES[name]
    assert_loop_equals_fit(
        [L.Dense(5, activation="relu"), L.Dense(width, activation=activation)],
        target,
        loss={"class_name": name, "module": "keras.losses", "config": {}},
    )


@pytest.mark.parametrize(
    "name", sampled(sorted(set(heads.ACTIVATIONS) - {"glu", "threshold"}), "silu")
)
def test_every_activation_equals_fit(name: str) -> None:
    """But for `glu`, which halves the width, and `threshold`, which needs to be told one."""
    assert_loop_equals_fit([L.Dense(5, activation=name), L.Dense(2)], None)


@pytest.mark.slow
def test_activations_behind_one_another() -> None:
    inside = sorted(proven_classes._SAME_IN_A_LOOP["activations"])
    layers = [
        layer
        for name in inside
        for layer in (L.Dense(7), L.BatchNormalization(), L.Activation(name))
    ]
    assert_loop_equals_fit([*layers, L.Dropout(0.1), L.Dense(2)], None, metrics=["mae"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sampled(sorted(set(matrix.OPTIMIZERS) - {"ScheduleFreeAdamW"}), "AdamW", "Muon")
)
def test_every_optimizer_equals_fit(name: str) -> None:
    """But for the one that begins with the job's weights, which `fit` trains."""
    optimizer = {name.split()[0]: matrix.OPTIMIZERS[name]}
    layers = [L.Dense(5, activation="relu"), L.Dense(2)]
    assert_loop_equals_fit(layers, None, optimizer=optimizer)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("losses", name) for name in sorted(heads.LOSSES)),
        *(("metrics", name) for name in sorted(heads.METRICS)),
    ],
)
def test_what_differs_in_a_loop_is_not_taken_into_one(kind: str, name: str) -> None:
    part = {"class_name": name, "module": f"keras.{kind}", "config": {}}
    if kind == "metrics":
        part["config"] = heads.METRICS[name][1]
    given = {"loss": part} if kind == "losses" else {"loss": "mse", "metrics": [part]}
    spec = ledger.spec(keras.Sequential([keras.Input((4,)), L.Dense(3)]), **given)
    expected = name not in _STEP_BY_STEP[kind] | {"CTC"}
    assert proven_classes.is_same_in_a_loop(spec) == expected


def squared(y_true: Any, y_pred: Any) -> Any:
    """A loss of the user's own."""
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def test_code_of_the_user_is_not_taken_into_a_loop() -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    assert not proven_classes.is_same_in_a_loop(ledger.spec(model, loss=squared))


def test_two_penalties_are_not_taken_into_a_loop() -> None:
    """Their sum has one order; those of a wrapped layer count too."""
    lstm = L.LSTM(2, kernel_regularizer="l2", bias_regularizer="l1")
    model = keras.Sequential([keras.Input((4, 3)), L.Bidirectional(lstm), L.Dense(3)])
    assert not proven_classes.is_same_in_a_loop(ledger.spec(model, loss="mse"))


def test_what_tensorflow_refuses_inside_a_program_is_an_error_of_the_spec() -> None:
    """A loss over the batch has no value for each row, so nothing for weights of rows."""
    model = keras.Sequential([keras.Input((_FEATURES,)), L.Dense(2, activation="sigmoid")])
    loss = keras.losses.BinaryCrossentropy(axis=0)
    x, y = _draw(heads.ROWS, _FEATURES), heads._binary((2,))
    arrays = Arrays(x=x, y=y, sample_weight=np.ones(heads.ROWS, "float32"))
    spec = ledger.spec(model, loss=loss, batch_size=8)
    trained = ledger.train(LoopFit(ledger.SETTINGS), [ledger.prepared(spec, arrays, 0)])
    assert classify(trained.errors[0])[0] is FailureClass.USER
