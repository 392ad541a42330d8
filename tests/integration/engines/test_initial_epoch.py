"""`initial_epoch`: the epochs from there up to `epochs`, numbered as Keras's `fit` numbers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import ledger
import numpy as np
import pytest
import tensorflow as tf

from fitfleet.data.arrays import Arrays
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.models.build import build, precision

L = keras.layers
FIRST, EPOCHS = 2, 8
BATCH = 4
_numbers = np.random.default_rng(0)
X, Y = _numbers.normal(size=(18, 3)), _numbers.normal(size=(18, 1))
ARRAYS = Arrays(x=X, y=Y, x_val=X[:6], y_val=Y[:6])
# Without a gain from epoch 4 on, counted from 0, it ends the fit in the one after.
STOPPING = {"monitor": "loss", "mode": "max", "patience": 0, "start_from_epoch": 4}
ENGINES = {"fit": KerasFit, "loop": LoopFit, "fused": FusedFit}


def _spec(**given: Any) -> JobSpec:
    model = keras.Sequential(
        [keras.Input((3,)), L.Dense(4, "relu"), L.Dropout(given.pop("rate", 0.0)), L.Dense(1)]
    )
    arguments = {"loss": "mse", "metrics": ["mae"], "optimizer": "adam", "dtype_policy": "float64"}
    fitted = {"initial_epoch": FIRST, "epochs": EPOCHS, "batch_size": BATCH, "seed": 3}
    return ledger.spec(model, **{**arguments, **fitted, **given})


def _trained(engine: Engine, specs: list[JobSpec]) -> ledger.Ledger:
    jobs = [ledger.prepared(spec, ARRAYS, number) for number, spec in enumerate(specs)]
    result = ledger.train(engine, jobs)
    for error in result.errors.values():
        raise error
    return result


def _plain(spec: JobSpec, *data: Any, **given: Any) -> tuple[list[int], dict[str, Any], list[Any]]:
    """Numbers of the epochs, history and weights of one call of Keras's own `fit`."""
    with precision("float64"):
        model = build(spec, ledger.SETTINGS)
        fitted = model.fit(
            *data,
            initial_epoch=spec.initial_epoch,
            epochs=spec.epochs,
            steps_per_epoch=spec.steps_per_epoch,
            shuffle=False,
            verbose=0,
            **given,
        )
    return fitted.epoch, fitted.history, [v.numpy() for v in model.variables]


@pytest.mark.parametrize("name", ENGINES)
def test_epochs_are_counted_and_seen_as_by_keras_fit(name: str) -> None:
    """By callbacks and `validation_freq`; in a stack, beside a job that begins at 0."""
    given = {"shuffle": False, "validation_freq": 3}
    spec = _spec(callbacks=[{"EarlyStopping": STOPPING}], **given)
    other = _spec(initial_epoch=0, epochs=3, seed=5, **given)
    specs = [spec, other] if name == "fused" else [spec]
    result = _trained(ENGINES[name](ledger.SETTINGS), specs)
    assert result.engines[-1][0] == name
    epochs, history, weights = _plain(
        spec,
        X,
        Y,
        batch_size=BATCH,
        validation_data=(X[:6], Y[:6]),
        validation_freq=3,
        callbacks=[keras.callbacks.EarlyStopping(**STOPPING)],
    )
    assert [epoch for epoch, _ in result.logs[0]] == epochs == [2, 3, 4, 5]
    assert [epoch for epoch, logs in result.logs[0] if "val_loss" in logs] == [2, 5]
    tolerance = 1e-12 if name == "fused" else 0
    for key, values in history.items():
        logged = [logs[key] for _, logs in result.logs[0] if key in logs]
        np.testing.assert_allclose(logged, values, rtol=tolerance, atol=tolerance)
    for value, plain in zip(result.weights[0], weights, strict=True):
        np.testing.assert_allclose(value, plain, rtol=tolerance, atol=tolerance)


def test_the_passes_of_steps_per_epoch_begin_with_the_first() -> None:
    spec = _spec(shuffle=False, steps_per_epoch=3)
    result = _trained(KerasFit(ledger.SETTINGS), [spec])
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH).repeat()
    epochs, history, weights = _plain(spec, batches)
    assert [epoch for epoch, _ in result.logs[0]] == epochs == [2, 3, 4, 5, 6, 7]
    assert [logs["loss"] for _, logs in result.logs[0]] == history["loss"]
    for value, plain in zip(result.weights[0], weights, strict=True):
        np.testing.assert_array_equal(value, plain)


@pytest.mark.parametrize(
    "name, steps",
    [
        pytest.param("fit", None, marks=pytest.mark.slow),
        ("fit", 3),
        pytest.param("loop", None, marks=pytest.mark.slow),
        ("fused", None),
    ],
)
def test_a_job_that_resumes_goes_on_with_its_epochs(
    name: str, steps: int | None, tmp_path: Path
) -> None:
    spec = _spec(rate=0.3, steps_per_epoch=steps)
    engine = ENGINES[name](ledger.SETTINGS)
    whole = _trained(engine, [spec])
    stopped = ledger.Ledger(tmp_path, stop_after={0: 4})
    ledger.train(engine, [ledger.prepared(spec, ARRAYS, 0)], stopped)
    assert [epoch for epoch, _ in stopped.logs[0]] == [2, 3]
    resumed = ledger.train(engine, [ledger.prepared(spec, ARRAYS, 0, stopped.snapshots[0])])
    resumed.logs[0] = stopped.logs[0] + resumed.logs[0]
    ledger.assert_same(resumed, whole)
