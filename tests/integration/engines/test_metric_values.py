"""Metrics with a value for each class or each threshold, in the logs of every engine."""

from __future__ import annotations

from typing import Any

import keras
import ledger
import numpy as np
import pytest

from fitfleet.data.arrays import Arrays
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.models.build import build

_numbers = np.random.default_rng(0)
X = _numbers.normal(size=(70, 4)).astype("float32")
Y = np.eye(3, dtype="float32")[_numbers.integers(0, 3, 70)]
ARRAYS = Arrays(x=X, y=Y, x_val=X[:30], y_val=Y[:30])


def _metrics() -> list[Any]:
    precision = keras.metrics.Precision(thresholds=[0.3, 0.4], name="precision")
    return [keras.metrics.F1Score(), precision]


@pytest.mark.parametrize("engine", [KerasFit, LoopFit, FusedFit])
def test_each_value_is_that_of_keras_on_the_validation_rows(engine: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    spec = ledger.spec(
        model,
        loss="categorical_crossentropy",
        metrics=_metrics(),
        optimizer="adam",
        epochs=2,
        batch_size=16,
        seed=1,
    )
    jobs = [ledger.prepared(spec, ARRAYS, number) for number in (1, 2)]
    trained = ledger.train(engine(ledger.SETTINGS), jobs)
    for error in trained.errors.values():
        raise error
    fitted = build(spec, ledger.SETTINGS)
    for variable, value in zip(fitted.variables, trained.weights[1], strict=True):
        variable.assign(value)
    predicted = fitted.predict(ARRAYS.x_val, verbose=0)
    _, logs = trained.logs[1][-1]
    for metric in _metrics():
        metric.update_state(ARRAYS.y_val, predicted)
        expected = metric.result().numpy()
        values = [logs[f"val_{metric.name}.{index}"] for index in range(len(expected))]
        np.testing.assert_allclose(values, expected, rtol=1e-6)
        assert {f"{metric.name}.{index}" for index in range(len(expected))} < set(logs)
        assert metric.name not in logs
