"""What watches or names a part of a model that a builder makes is held to that model at submit."""

from __future__ import annotations

import sys
from typing import Any

import keras
import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.submission import job_spec

SETTINGS = Settings(code_trust="scripts")
L = keras.layers


class Own(keras.Model):
    """Its outputs are known when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.head = L.Dense(1)

    def call(self, x: Any) -> Any:
        return self.head(x)


class Stepping(Own):
    """May log anything."""

    def train_step(self, data: Any) -> Any:
        return {"distance": super().train_step(data)["loss"]}


def own() -> Any:
    return _compiled(Own())


def stepping() -> Any:
    return _compiled(Stepping())


def two_outputs() -> Any:
    """A worker makes it, for its Lambda."""
    inputs = keras.Input((2,))
    x = L.Lambda(keras.ops.abs)(inputs)
    return _compiled(keras.Model(inputs, [L.Dense(1, name="a")(x), L.Dense(1, name="b")(x)]))


def counted() -> Any:
    inputs = keras.Input((2,))
    return _compiled(keras.Model(inputs, L.Dense(1)(L.Lambda(keras.ops.abs)(inputs))))


def _compiled(model: Any) -> Any:
    outputs = getattr(model, "output_names", ["one"])
    model.compile("sgd", "mse", metrics=["mae"] if len(outputs) == 1 else [["mae"], ["mae"]])
    return model


def _spec(make: Any, monitor: str, **more: Any) -> JobSpec:
    stops = keras.callbacks.EarlyStopping(monitor=monitor, mode="min")
    given = {"dataset": "data.h5", "callbacks": [stops], "epochs": 1, **more}
    spec = job_spec(SETTINGS, model=ff.builder(make), is_scripted=True, **given)
    assert spec.model.builder is not None
    return spec


@pytest.mark.parametrize(
    ("make", "monitor"),
    [
        (own, "val_mae"),
        (own, "val_loss"),
        (own, "output_1_loss"),
        (stepping, "val_distance"),
        (two_outputs, "val_a_mae"),
        (two_outputs, "b_loss"),
        (counted, "mae"),
    ],
)
def test_what_an_epoch_has_may_be_watched(make: Any, monitor: str) -> None:
    _spec(make, monitor)


@pytest.mark.parametrize(
    ("make", "monitor", "meant"),
    [
        (own, "val_mea", "val_mae"),
        (own, "val_losss", "val_loss"),
        (two_outputs, "val_c_mae", "val_a_mae"),
        (counted, "val_accuracy", "val_mae"),
    ],
)
def test_a_misspelt_monitor_is_reported_at_submit(make: Any, monitor: str, meant: str) -> None:
    with pytest.raises(SpecError) as refused:
        _spec(make, monitor)
    said = str(refused.value)
    assert said.startswith(f"callbacks[0].EarlyStopping.monitor: the fit has no metric '{monitor}'")
    assert meant in said


def test_a_loss_of_no_output_is_reported_at_submit() -> None:
    with pytest.raises(SpecError, match=r"loss\.c: the model has no output of that name"):
        _spec(two_outputs, "val_loss", loss={"a": "mse", "c": "mse"})


def test_nothing_is_known_of_a_model_that_only_workers_can_import() -> None:
    settings = Settings(trusted_modules=("on_workers_only",))
    assert "on_workers_only" not in sys.modules
    stops = keras.callbacks.EarlyStopping(monitor="val_anything", mode="min")
    job_spec(
        settings,
        model=ff.builder("on_workers_only:make"),
        dataset="data.h5",
        loss="mse",
        callbacks=[stops],
        epochs=1,
    )
