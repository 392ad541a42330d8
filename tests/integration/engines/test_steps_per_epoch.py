"""`steps_per_epoch`: epochs of so many batches, while passes over the rows follow each other."""

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
from fitfleet.worker.engines.single_job.keras_fit import KerasFit, _smaller_batches
from fitfleet.worker.engines.single_job.loop import unsupported
from fitfleet.worker.models.build import build
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.seeding import order

EPOCHS = 4
ROWS, BATCH = 18, 4  # a pass is of 5 batches, the last of them of 2 rows
_numbers = np.random.default_rng(0)
X = _numbers.normal(size=(ROWS, 3)).astype("float32")
Y = _numbers.normal(size=(ROWS, 1)).astype("float32")
ARRAYS = Arrays(x=X, y=Y, x_val=X[:6], y_val=Y[:6])


SLOW = [(2, 1), (5, 1), (11, 1), (3, 2), (7, 2)]


def _spec(steps: int, **given: Any) -> JobSpec:
    layers = [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    arguments = {"loss": "mse", "metrics": ["mae"], "optimizer": "adam", "seed": 3, **given}
    return ledger.spec(
        keras.Sequential(layers),
        epochs=EPOCHS,
        batch_size=BATCH,
        steps_per_epoch=steps,
        **arguments,
    )


def _job(spec: JobSpec, path: Path | None = None) -> PreparedJob:
    return ledger.prepared(spec, ARRAYS, 1, path)


def _plain(spec: JobSpec, *data: Any, **given: Any) -> tuple[list[dict[str, float]], Any]:
    """Logs of each epoch and the model, of one call of Keras's own `fit`."""
    model = build(spec, ledger.SETTINGS, steps_per_execution=spec.steps_per_execution)
    history = model.fit(
        *data,
        epochs=EPOCHS,
        steps_per_epoch=spec.steps_per_epoch,
        shuffle=False,
        validation_data=(ARRAYS.x_val, ARRAYS.y_val),
        validation_batch_size=BATCH,
        verbose=0,
        **given,
    ).history
    rows = zip(*history.values(), strict=True)
    return [dict(zip(history, map(float, row), strict=True)) for row in rows], model


def _assert_same(job: ledger.Ledger, logs: list[dict[str, float]], model: Any) -> None:
    for error in job.errors.values():
        raise error
    assert [each for _, each in job.logs[1]] == logs
    for value, variable in zip(job.weights[1], model.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


def _trained(spec: JobSpec) -> ledger.Ledger:
    return ledger.train(KerasFit(ledger.SETTINGS), [_job(spec)])


@pytest.mark.parametrize(
    "steps, steps_per_execution",
    [(7, 1), *(pytest.param(*each, marks=pytest.mark.slow) for each in SLOW)],
)
def test_an_epoch_equals_that_of_fit_on_a_repeated_dataset(
    steps: int, steps_per_execution: int
) -> None:
    spec = _spec(steps, shuffle=False, steps_per_execution=steps_per_execution)
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH).repeat()
    _assert_same(_trained(spec), *_plain(spec, batches))


@pytest.mark.parametrize("steps", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_an_epoch_that_divides_a_pass_equals_that_of_fit_on_arrays(steps: int) -> None:
    spec = _spec(steps, shuffle=False)
    _assert_same(_trained(spec), *_plain(spec, X, Y, batch_size=BATCH))


def test_each_pass_has_an_order_of_its_own_by_seed_and_number() -> None:
    spec = _spec(3)
    passes = [order(spec.seed, number, ROWS).numpy() for number in range(3)]
    assert len({tuple(each) for each in passes}) == 3
    batches = [tf.data.Dataset.from_tensor_slices((X[p], Y[p])).batch(BATCH) for p in passes]
    joined = batches[0].concatenate(batches[1]).concatenate(batches[2])
    _assert_same(_trained(spec), *_plain(spec, joined))


@pytest.mark.parametrize("steps", [pytest.param(3, marks=pytest.mark.slow), 7])
def test_a_fit_that_resumes_goes_on_inside_the_pass(steps: int, tmp_path: Path) -> None:
    spec = _spec(steps)
    stopped = ledger.Ledger(tmp_path, stop_after={1: 2})
    ledger.train(KerasFit(ledger.SETTINGS), [_job(spec)], stopped)
    path = stopped.snapshots[1]
    resumed = ledger.train(KerasFit(ledger.SETTINGS), [_job(spec, path)])
    resumed.logs[1] = stopped.logs[1] + resumed.logs[1]
    ledger.assert_same(resumed, _trained(spec))


class Params(ledger.Ledger):
    """Keeps what the callbacks were told."""

    def epoch(self, fit: Any, logs: dict[str, float], seconds: float) -> None:
        super().epoch(fit, logs, seconds)
        self.params = fit.callbacks[0].params


def test_callbacks_are_told_of_the_steps() -> None:
    spec = _spec(7, callbacks=["TerminateOnNaN"])
    told = Params()
    ledger.train(KerasFit(ledger.SETTINGS), [_job(spec)], told)
    assert told.params["steps"] == 7


def test_batches_made_smaller_after_an_out_of_memory_have_as_many_rows() -> None:
    smaller = _smaller_batches(_spec(3), BATCH // 2)
    assert (smaller.batch_size, smaller.steps_per_epoch) == (2, 6)


def test_only_the_engine_fit_trains_it() -> None:
    assert unsupported(_job(_spec(3)), ledger.SETTINGS) == "steps_per_epoch=3"
