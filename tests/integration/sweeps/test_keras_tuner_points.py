"""Jobs of a KerasTuner build function, against those of the Keras objects that it returns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitfleet.settings import Settings
from fitfleet.submit import Submission
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.driving.points import Points
from fitfleet.sweeps.spaces import space
from fitfleet.sweeps.spaces.hypermodels import accepted

MODULE = """
import keras
import keras_tuner


def build(hp):
    model = keras.Sequential([keras.Input((4,))])
    for i in range(hp.Int("layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Int(f"units_{i}", 4, 12, step=4), activation="relu"))
    model.add(keras.layers.Dense(3, activation="softmax"))
    rate = hp.Float("rate", 1e-3, 1e-1, sampling="log")
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


class Subclass(keras.Model):
    def __init__(self, units, **more):
        super().__init__(**more)
        self.out = keras.layers.Dense(units, activation="softmax")

    def call(self, x):
        return self.out(x)


class Searched(keras_tuner.HyperModel):
    def __init__(self, least):
        super().__init__()
        self.least = least

    def build(self, hp):
        model = Subclass(hp.Choice("units", [self.least, 9]))
        loss = "sparse_categorical_crossentropy"
        model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
        return model
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "tuned_models.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import tuned_models  # type: ignore[import-not-found]

    yield tuned_models
    del sys.modules["tuned_models"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load({"storage": str(tmp_path), "code_trust": "scripts"})


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "data.npz"
    rows = np.zeros((60, 4), "float32")
    np.savez(path, x_train=rows, y_train=np.arange(60) % 3)
    return {"dataset": str(path), "validation_split": 0.2, "epochs": 2, "seed": 3}


def test_a_point_is_the_job_of_the_object_that_the_function_returns(
    module: Any, settings: Settings, job: dict[str, Any]
) -> None:
    from keras_tuner import HyperParameters

    given = design({**accepted({"model": module.build}), **job, "trials": 4})
    points = Points(given, settings, is_scripted=True)
    fuse_keys = set()
    for point in space.random(given.job, 4, 3):
        row = points.rows(point, range(2))[0]
        hp = HyperParameters()
        hp.values = dict(point)
        alone = Submission(settings, is_scripted=True).row({"model": module.build(hp), **job})
        assert (row.content_hash, row.fuse_key) == (alone.content_hash, alone.fuse_key)
        assert row.options.params == point
        fuse_keys.add((row.fuse_key, point["layers"], point["units_0"], point.get("units_1")))
    assert None not in {key for key, *_ in fuse_keys}  # they may be trained as cohorts


def test_a_model_of_a_class_goes_as_its_builder_with_what_it_was_compiled_with(
    module: Any, settings: Settings, job: dict[str, Any]
) -> None:
    given = design({**accepted({"model": module.Searched(5)}), **job, "search": "grid"})
    points = space.grid(given.job)
    assert points == [{"units": 5}, {"units": 9}]
    spec = Points(given, settings, is_scripted=True).rows(points[1], range(1))[0].spec
    builder = spec.model.builder
    assert builder is not None and builder.path == "tuned_models:Searched"
    assert (builder.arguments["least"], builder.hyperparameters) == (5, {"units": 9})
    assert spec.optimizer["class_name"] == "SGD"
    assert spec.optimizer["config"]["learning_rate"] == 0.5
    assert spec.code is not None
