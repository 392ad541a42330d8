"""Models with code of the user's in them: what their config can say, and who makes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.allow import check_names
from fitfleet.spec.keras_objects.object_documents import to_document
from fitfleet.spec.keras_objects.user_code import unreadable
from fitfleet.spec.parts.model import model_spec
from fitfleet.spec.submission import job_spec
from fitfleet.submit import Submission

SETTINGS = Settings(code_trust="scripts")


class Times(keras.layers.Layer):
    """As many write it: without **kwargs, and without get_config."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor


class Graph:
    edges = 3


class OfAnObject(Times):
    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.edges)


class Forgetful(Times):
    """Its config lacks what the constructor wants."""

    def get_config(self) -> dict[str, Any]:
        return {}


class Own(keras.Model):
    def call(self, x: Any) -> Any:
        return x


def _double(x: Any) -> Any:
    return 2.0 * x


def _of_margin(margin: float) -> Any:
    def loss(y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.maximum(margin - y_true * y_pred, 0.0))

    return loss


def around(layer: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])


def plain() -> Any:
    return around(keras.layers.Dense(2))


def readable() -> Any:
    return around(Times(2.0))


def of_an_object() -> Any:
    return around(OfAnObject(Graph()))


def forgetful() -> Any:
    return around(Forgetful(2.0))


def with_lambda() -> Any:
    return around(keras.layers.Lambda(_double, output_shape=(3,)))


def with_long_code() -> Any:
    return around(
        keras.layers.Lambda(
            lambda x: x * 2.0 + x * 3.0 - x * 4.0 + x * 5.0 - x * 6.0 + x * 7.0 - x * 8.0,
            output_shape=(3,),
        )
    )


def with_spectra() -> Any:
    layers = [keras.layers.STFTSpectrogram(frame_length=4), keras.layers.GlobalMaxPooling1D()]
    return keras.Sequential([keras.Input((16, 1)), *layers, keras.layers.Dense(1)])


def with_a_loss_in_a_function() -> Any:
    model = plain()
    model.compile("sgd", _of_margin(1.0))
    return model


def own_without_loss() -> Any:
    model = Own()
    model.compile(optimizer=keras.optimizers.Adam(0.5), metrics=["mae"])
    return model


def own_with_loss() -> Any:
    model = Own()
    model.compile(optimizer=keras.optimizers.Adam(0.5), loss="mae")
    return model


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This file under a name that a builder can have."""
    own = ModuleType("own_code_models")
    vars(own).update({k: v for k, v in globals().items() if not k.startswith("__")})
    monkeypatch.setitem(sys.modules, "own_code_models", own)
    yield


def builder(name: str) -> Any:
    return ff.builder(f"own_code_models:{name}")


@pytest.mark.parametrize("make", [plain, readable])
def test_a_model_that_its_config_tells_is_sent_as_that(make: Any) -> None:
    spec, _ = model_spec(builder(make.__name__), SETTINGS, is_scripted=True)
    assert spec.builder is None and spec.config is not None
    assert unreadable(make()) is None


@pytest.mark.parametrize(
    "make", [of_an_object, forgetful, with_lambda, with_spectra, with_a_loss_in_a_function]
)
def test_any_other_is_made_by_the_worker(make: Any) -> None:
    spec, compiled = model_spec(builder(make.__name__), SETTINGS, is_scripted=True)
    assert spec.config is None and spec.builder is not None
    assert compiled == {}


def test_a_function_is_a_builder() -> None:
    spec = model_spec(with_lambda, SETTINGS, is_scripted=True)
    assert spec == model_spec(ff.builder(with_lambda), SETTINGS, is_scripted=True)
    assert spec[0].builder == ff.builder(with_lambda)


def test_a_worker_that_would_not_run_the_builder_gets_no_builder() -> None:
    modules = SETTINGS.replace(code_trust="modules")
    with pytest.raises(SpecError, match=r"Lambda is refused: .* model=ff\.builder"):
        model_spec(builder("with_lambda"), modules, is_scripted=True)


@pytest.mark.parametrize(("make", "name"), [(of_an_object, "OfAnObject"), (forgetful, "Forgetful")])
def test_an_object_of_such_a_model_is_refused_with_the_fix(make: Any, name: str) -> None:
    with pytest.raises(SpecError, match=rf"^model: .*{name} .*; or .*model=ff\.builder"):
        model_spec(make(), SETTINGS, is_scripted=True)


@pytest.mark.parametrize("make", [with_lambda, with_long_code])
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_an_object_with_a_lambda_layer_is_refused_where_it_stands(make: Any) -> None:
    with pytest.raises(SpecError, match=r"^model\.layers\[1\]: Lambda is .*model=ff\.builder"):
        model_spec(make(), SETTINGS, is_scripted=True)


def test_layers_that_take_no_name_are_connected_by_theirs() -> None:
    keras.backend.clear_session()
    readable()  # what is made after it has other names

    def branches() -> Any:
        x = keras.Input((3,))
        return keras.Model(x, [Times(2.0)(x), Times(3.0)(Times(4.0)(x))])

    spec, _ = model_spec(branches(), SETTINGS, is_scripted=True)
    assert spec.config is not None
    names = {row["name"] for row in spec.config["config"]["layers"]}
    assert names == {row["config"]["name"] for row in spec.config["config"]["layers"]}
    chain = model_spec(around(Times(2.0)), SETTINGS, is_scripted=True)[0].config
    assert chain == model_spec(around(Times(2.0)), SETTINGS, is_scripted=True)[0].config


class Focal(keras.losses.Loss):
    """Without get_config, as in most scripts."""

    def __init__(self, gamma: float = 2.0, **more: Any) -> None:
        super().__init__(**more)
        self.gamma = gamma

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


class Kept(Focal):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": 7.0}


class Elsewhere(Focal):
    def __init__(self, alpha: float = 0.25) -> None:
        super().__init__()
        self.balance = alpha


def test_a_loss_brings_the_arguments_that_its_config_leaves_out() -> None:
    """A worker would make it with the defaults."""
    assert to_document(Focal(5.0), "loss")["config"]["gamma"] == 5.0
    assert to_document(Kept(5.0), "loss")["config"]["gamma"] == 7.0
    huber = to_document(keras.losses.Huber(delta=0.5), "loss")
    assert huber["config"]["delta"] == 0.5
    with pytest.raises(SpecError, match=r"^loss: Elsewhere keeps its argument alpha under another"):
        to_document(Elsewhere(), "loss")


def test_a_sequential_without_an_input_may_hold_a_layer_of_ones_own(tmp_path: Path) -> None:
    """It is checked again when the data have told its input."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = np.zeros((8, 3), "float32"), np.zeros((8, 1), "float32")
    settings = SETTINGS.replace(
        storage=str(tmp_path / "storage"), module_path=(str(Path(__file__).parent),)
    )
    model = keras.Sequential([keras.layers.Dense(2), Times(2.0)])
    given = {"model": model, "dataset": str(tmp_path / "data.h5"), "loss": "mse"}
    row = Submission(settings, is_scripted=True).row(given)
    assert row.spec.model.config is not None and row.code is not None
    first = row.spec.model.config["config"]["layers"][0]
    assert first["class_name"] == "InputLayer"


def test_looking_at_a_layer_draws_no_random_number() -> None:
    import random

    model = readable()
    before = random.getstate()
    assert unreadable(model) is None
    assert random.getstate() == before


def test_an_activation_of_tensorflow_is_refused_with_keras_own_name() -> None:
    import tensorflow as tf

    for function, name in ((tf.nn.gelu, "gelu"), (tf.nn.relu, "relu"), (tf.nn.swish, "silu")):
        spec, _ = model_spec(around(keras.layers.Dense(2, activation=function)), SETTINGS)
        with pytest.raises(SpecError, match=rf'activation: .*TensorFlow.*activation="{name}"$'):
            check_names(spec.config, "model", SETTINGS)


def spec_of(name: str, **given: Any) -> Any:
    return job_spec(SETTINGS, model=builder(name), dataset="data.h5", is_scripted=True, **given)


def test_what_a_builder_compiled_without_a_loss_stays_its_own() -> None:
    """Said in the job too, a worker would have to compile the model a second time."""
    spec = spec_of("own_without_loss")
    assert spec.optimizer == spec_of("own_without_loss", metrics=[]).optimizer
    assert spec.optimizer["config"].get("learning_rate") != 0.5 and not spec.metrics
    with_loss = spec_of("own_without_loss", loss="mse")
    assert with_loss.optimizer["config"]["learning_rate"] == 0.5 and with_loss.metrics
    assert spec_of("own_with_loss").optimizer["config"]["learning_rate"] == 0.5
