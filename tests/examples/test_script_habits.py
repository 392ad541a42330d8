"""What stands in a user's script beside its model: data, callbacks, and what is asked afterwards.

Each is submitted as the script has it, and compared with plain Keras, or with what the callback
says that it saw.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from plain import fit
from script_callbacks import Seen, halved
from test_equal_to_plain_keras import assert_same_arrays
from test_gallery_examples import as_read_here

import fitfleet as ff

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(1)
X, Y = RNG.random((40, 6), "float32"), RNG.integers(0, 2, (40, 1))


def _model() -> Any:
    parts = [keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dropout(0.2)]
    return keras.Sequential([*parts, layers.Dense(1, activation="sigmoid")])


def _compiled(optimizer: Any = "adam") -> Any:
    model = _model()
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def _noisy(x: Any, y: Any) -> Any:
    return x + tf.random.stateless_normal(tf.shape(x), seed=[1, 2], stddev=0.01), y


def pipeline() -> Any:
    """As tutorials write it: cache, map, shuffle, batch, prefetch."""
    rows = tf.data.Dataset.from_tensor_slices((X, Y)).cache()
    rows = rows.map(_noisy, num_parallel_calls=tf.data.AUTOTUNE)
    return rows.shuffle(40, seed=3, reshuffle_each_iteration=True).batch(8).prefetch(2)


class Batches(keras.utils.PyDataset):
    def __init__(self, x: Any, y: Any, **more: Any) -> None:
        super().__init__(**more)
        self.x, self.y, self.order = x, y, np.arange(len(x))

    def __len__(self) -> int:
        return len(self.x) // 8

    def __getitem__(self, index: int) -> Any:
        rows = self.order[8 * index : 8 * (index + 1)]
        return self.x[rows], self.y[rows]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


def batches() -> Iterator[Any]:
    for start in range(0, 40, 8):
        yield X[start : start + 8], Y[start : start + 8]


DATA: dict[str, Callable[[], Any]] = {
    "pipeline": pipeline,
    "py_dataset": lambda: Batches(X, Y, workers=2, use_multiprocessing=False),
    "generator": batches,
    "bytes": lambda: ((255 * X).astype("uint8"), Y),
    "booleans": lambda: (X.astype("float64"), Y.astype(bool)),
}


@pytest.fixture(scope="module")
def by_data(fleet: ff.Fleet) -> dict[str, ff.Job]:
    given: dict[str, Any] = {"batch_size": 8, "epochs": 2, "experiment": "habits"}
    return {
        name: fleet.submit(model=_compiled(), dataset=make(), seed=number, **given)
        for number, (name, make) in enumerate(DATA.items())
    }


@pytest.mark.parametrize("name", DATA)
def test_data_as_a_script_has_them(name: str, by_data: dict[str, ff.Job], fleet: ff.Fleet) -> None:
    job = by_data[name].wait(timeout_s=240, raise_on_failure=True)
    compiled = {"optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["accuracy"]}
    plain = fit(as_read_here(job, fleet), compiled, [])
    for metric, values in plain.history.items():
        assert list(job.history[metric]) == [float(v) for v in values], metric
    assert_same_arrays(job.load_model().get_weights(), plain.model.get_weights(), job)


def test_inputs_and_outputs_by_name(fleet: ff.Fleet) -> None:
    """Dicts of arrays in and out, loss weights, metrics by output; predictions by name."""
    first, second = keras.Input((6,), name="left"), keras.Input((3,), name="right")
    x = layers.Concatenate()([layers.Dense(4)(first), layers.Dense(2)(second)])
    outputs = {"size": layers.Dense(1, name="size")(x), "kind": layers.Dense(3, name="kind")(x)}
    model = keras.Model({"left": first, "right": second}, outputs)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss={"size": "mse", "kind": entropy},
        loss_weights={"size": 0.5, "kind": 1.0},
        metrics={"kind": ["accuracy"]},
    )
    x = {"left": X, "right": X[:, :3]}
    y = {"size": X[:, :1], "kind": RNG.integers(0, 3, 40)}
    rows = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    job = fleet.submit(model=model, dataset=rows, validation_data=rows.take(2), epochs=2)
    job.wait(timeout_s=240, raise_on_failure=True)
    assert {"loss", "val_loss", "kind_accuracy", "val_kind_accuracy"} <= set(job.history.columns)
    made = job.predict(x)
    assert {name: part.shape for name, part in made.items()} == {"size": (40, 1), "kind": (40, 3)}
    assert job.evaluate(x, y, batch_size=8, verbose=0)["loss"] > 0


def test_the_callbacks_of_a_script(fleet: ff.Fleet) -> None:
    """All at once, with what each is for."""
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=5, verbose=1),
        keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.TensorBoard(log_dir="logs"),
        keras.callbacks.CSVLogger("training.log"),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LearningRateScheduler(halved),
        Seen(),
    ]
    job = fleet.submit(
        model=_compiled(keras.optimizers.Adam(0.01)), dataset=(X, Y), validation_split=0.2,
        callbacks=callbacks, batch_size=8, epochs=3, experiment="habits",
    )  # fmt: skip
    job.wait(timeout_s=240, raise_on_failure=True)
    names = [file.name for file in job.files]
    assert {"best.keras", "training.log"} <= set(names)
    assert any(name.startswith("logs/") for name in names)
    (log,) = (file for file in job.files if file.name == "training.log")
    logged = list(csv.DictReader(io.StringIO(log.read().decode())))
    assert [float(line["loss"]) for line in logged] == pytest.approx(list(job.history["loss"]))
    seen = [line.split()[1:3] for line in job.logs().splitlines() if line.startswith("SEEN")]
    assert [rate for _, rate in seen] == ["0.010000", "0.005000", "0.002500"]
    assert f"PARAMS 3 4 {_model().count_params()}" in job.logs()


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "repeat": (lambda: {"dataset": pipeline().repeat()}, "with steps_per_epoch=N"),
    "verbose": (lambda: {"verbose": 1}, "verbose: no such argument here"),
    "x and y": (lambda: {"x": X, "y": Y, "dataset": None}, "dataset=(x, y)"),
    "unbatched": (
        lambda: {"dataset": tf.data.Dataset.from_tensor_slices((X, Y))},
        "make batches of them",
    ),
    "outside": (
        lambda: {"callbacks": [keras.callbacks.ModelCheckpoint("/tmp/best.keras")]},
        "give a name alone, such as 'best.keras'",
    ),
    "lambda": (
        lambda: {
            "callbacks": [keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)]
        },
        "write a subclass of keras.callbacks.Callback",
    ),
    "backup": (
        lambda: {"callbacks": [keras.callbacks.BackupAndRestore("backup")]},
        "resumes from its last checkpoint",
    ),
    "averages": (
        lambda: {"callbacks": [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]},
        "an optimizer with use_ema=True and ema_overwrite_frequency",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_way(name: str, fleet: ff.Fleet) -> None:
    make, words = REFUSED[name]
    with pytest.raises(ff.FitfleetError) as refused:
        fleet.submit(**{"model": _compiled(), "dataset": (X, Y), "epochs": 1, **make()})
    assert words in str(refused.value)


def test_a_folder_as_keras_reads_it(fleet: ff.Fleet, tmp_path: Path) -> None:
    """keras.utils.text_dataset_from_directory, its TextVectorization adapted in the script."""
    for index in range(12):
        kind = tmp_path / ("good", "bad")[index % 2]
        kind.mkdir(exist_ok=True)
        (kind / f"{index}.txt").write_text(f"a {kind.name} film number {index}")
    texts = keras.utils.text_dataset_from_directory(tmp_path, batch_size=4, seed=1)
    vectorize = layers.TextVectorization(max_tokens=20, output_sequence_length=6)
    vectorize.adapt(texts.map(lambda x, y: x))
    inputs = keras.Input((1,), dtype="string")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(20, 4)(vectorize(inputs)))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    job = fleet.submit(model=model, dataset=texts, epochs=2).wait(
        timeout_s=240, raise_on_failure=True
    )
    assert len(job.history) == 2
    assert job.predict(np.array([["a good film"]])).shape == (1, 1)
