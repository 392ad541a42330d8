"""Layers whose constructor takes neither name nor dtype: Keras cannot read their config."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from fitfleet.spec.keras_objects.object_documents import to_document
from fitfleet.worker.user_code.readable_classes import make_readable


class Scaled(keras.layers.Layer):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    def call(self, x: Any) -> Any:
        return x * self.units


class Tolerant(Scaled):
    def __init__(self, units: int, extra: int = 0, **more: Any) -> None:
        super().__init__(units)
        self.extra = extra


class Reading(Scaled):
    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Reading:
        return cls(units=config["units"] + 1)


class Frozen(keras.layers.Layer):
    """Its get_config gives a name that its constructor does not take, as in many examples."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}

    def call(self, x: Any) -> Any:
        return x * self.units


OWN = {f"own>{kind.__name__}": kind for kind in (Scaled, Tolerant, Reading, Frozen)}


@pytest.fixture(autouse=True)
def registered() -> Any:
    with keras.saving.custom_object_scope(OWN):
        yield


def again(model: Any, *kinds: type) -> Any:
    document = keras.saving.serialize_keras_object(model)
    for row in document["config"]["layers"]:
        if row["class_name"] in {kind.__name__ for kind in OWN.values()}:
            row["registered_name"] = f"own>{row['class_name']}"
            row["config"].setdefault("name", row["name"])  # as a job's config has it
    for kind in kinds:
        make_readable(kind)
        make_readable(kind)  # each job of a worker's child does
    return keras.saving.deserialize_keras_object(document)


def chain(*layers: Any) -> Any:
    inputs = x = keras.Input((3,))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def test_it_is_made_again_with_its_name_and_its_trainability() -> None:
    first, second = Scaled(2), Frozen(3)
    first.trainable = False
    model = chain(first, second)
    made = again(model, Scaled, Frozen)
    assert [layer.name for layer in made.layers] == [layer.name for layer in model.layers]
    assert [layer.trainable for layer in made.layers[1:]] == [False, True]
    assert made.layers[1].units == 2


def test_a_reader_of_its_own_and_one_that_takes_all_stay_as_they_are() -> None:
    made = again(chain(Reading(2)), Reading)
    assert made.layers[1].units == 3
    make_readable(Scaled)
    make_readable(Tolerant)  # whose parent is readable now, and takes a name
    layer = Tolerant(2)
    layer.name = "mine"
    again_made = Tolerant.from_config({"units": 2, "extra": 1})
    assert again_made.extra == 1


class Margin(keras.losses.Loss):
    def __init__(self, margin: float = 1.0, name: str = "margin") -> None:
        super().__init__(name=name)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.maximum(self.margin - y_true * y_pred, 0.0), -1)


class Total(keras.metrics.Metric):
    def __init__(self) -> None:
        super().__init__()


def test_a_loss_and_a_metric_of_which_keras_gives_more_are_made_again() -> None:
    make_readable(Margin)
    make_readable(Total)
    document = to_document(Margin(0.25), "loss")
    assert document["config"]["margin"] == 0.25
    assert Margin.from_config({**document["config"], "reduction": "sum"}).margin == 0.25
    assert isinstance(Total.from_config({"name": "total", "dtype": "float32"}), Total)


def test_what_is_no_layer_is_left_alone() -> None:
    for other in (None, len, keras.optimizers.SGD, keras.Model):
        make_readable(other)
    assert "from_config" in vars(keras.Model) or keras.Model.from_config
