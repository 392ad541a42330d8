"""`steps_per_epoch` and `initial_epoch` of windows, of stateful RNNs and of streamed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import ledger
import numpy as np
import pytest
import tensorflow as tf

import fitfleet as ff
from fitfleet.data.arrays import Arrays, Stream, load
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.models.build import build

L = keras.layers
LENGTH, BATCH, FIRST, EPOCHS = 4, 6, 1, 4
SERIES = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")


class ResetStates(keras.callbacks.Callback):  # type: ignore[misc]
    """As a job does with `reset_states="epoch"`."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for layer in self.model.layers:
            if isinstance(layer, L.RNN):
                layer.reset_states()


def _spec(is_stateful: bool, **given: Any) -> JobSpec:
    batch = BATCH if is_stateful else None
    recurrent = L.LSTM(3, stateful=is_stateful)
    model = keras.Sequential([keras.Input((LENGTH, 2), batch_size=batch), recurrent, L.Dense(2)])
    fitted = {"initial_epoch": FIRST, "epochs": EPOCHS, "batch_size": BATCH, "shuffle": False}
    fitted |= {"steps_per_epoch": 4, "loss": "mse", "optimizer": "adam", "seed": 3, **given}
    return ledger.spec(model, **fitted)


def _loaded(folder: Path, form: str) -> Arrays:
    """The rows of a job: cut from a series, in memory, or in a file."""
    settings = Settings(
        cache=str(folder / "cache"), memory_bytes=512 if form == "stream" else 1 << 30
    )
    path, rows = folder / "data.h5", len(SERIES) - LENGTH
    with h5py.File(path, "w") as file:
        file["series"] = SERIES
        file["x"] = np.stack([SERIES[i : i + LENGTH] for i in range(rows)])
        file["y"] = SERIES[LENGTH:]
    dataset = ff.Dataset(str(path), x="x", y="y")
    if form == "windows":
        dataset = ff.Dataset(str(path), x="series", y="series", windows={"length": LENGTH})
    return load(dataset, settings)


@pytest.mark.parametrize(
    ("form", "is_stateful", "states"),
    [
        ("windows", False, "epoch"),
        ("windows", True, "epoch"),
        ("stream", True, "never"),
        ("arrays", True, "epoch"),
    ],
)
def test_it_equals_fit_on_a_repeated_dataset(
    form: str, is_stateful: bool, states: str, tmp_path: Path
) -> None:
    """4 of the 6 batches of a pass, so that epochs begin inside it."""
    arrays = _loaded(tmp_path, form)
    assert isinstance(arrays.x, Stream) == (form == "stream")
    spec = _spec(is_stateful, reset_states=states)
    result = ledger.train(KerasFit(ledger.SETTINGS), [ledger.prepared(spec, arrays, 0)])
    for error in result.errors.values():
        raise error
    model = build(spec, ledger.SETTINGS)
    windows = [SERIES[i : i + LENGTH] for i in range(len(SERIES) - LENGTH)]
    rows = tf.data.Dataset.from_tensor_slices((np.stack(windows), SERIES[LENGTH:]))
    repeated = rows.batch(BATCH, drop_remainder=True)
    plain = model.fit(
        repeated.repeat(),
        initial_epoch=FIRST,
        epochs=EPOCHS,
        steps_per_epoch=4,
        shuffle=False,
        callbacks=[ResetStates()] if states == "epoch" else [],
        verbose=0,
    )
    assert [epoch for epoch, _ in result.logs[0]] == plain.epoch == [1, 2, 3]
    assert [logs["loss"] for _, logs in result.logs[0]] == plain.history["loss"]
    for value, variable in zip(result.weights[0], model.variables, strict=True):
        if variable.name != "seed_generator_state":  # of the LSTM's dropout, which is 0
            np.testing.assert_array_equal(value, variable.numpy())
