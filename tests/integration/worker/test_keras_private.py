"""The names of Keras that are not public are where the worker looks for them."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pytest

import fitfleet.worker
from fitfleet.worker import keras_private


@pytest.mark.parametrize("name", keras_private.__all__)
def test_each_name_is_there(name: str) -> None:
    assert getattr(keras_private, name) is not None


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in keras_private.ATTRIBUTES.items() for name in names],
)
def test_each_attribute_is_there(owner: str, name: str) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    model.compile("sgd", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    owners = {"Model": model, "Layer": model.get_layer("dense"), "Optimizer": model.optimizer}
    holder = owners.get(owner) or getattr(keras_private, owner)
    assert hasattr(holder, name)


def test_no_other_module_of_the_worker_imports_from_the_inside_of_keras() -> None:
    worker = Path(fitfleet.worker.__file__).parent
    inside = re.compile(r"^ *(from|import) (keras\.src|tensorflow\.python)", re.MULTILINE)
    others = {path.name for path in worker.rglob("*.py") if inside.search(path.read_text())}
    assert others == {"keras_private.py"}
