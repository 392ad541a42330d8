"""The short form records what Keras would be told."""

from typing import Any

import keras
import pytest

import fitfleet as ff
from fitfleet.errors import FitfleetError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.parts.model import model_spec

layers = ff.layers
SETTINGS = Settings()


def config_of(model: Any) -> dict[str, Any]:
    spec, _ = model_spec(model, SETTINGS)
    assert spec.config is not None
    return spec.config


def first_layer(layer: Any) -> dict[str, Any]:
    model_config: dict[str, Any] = config_of(ff.Sequential([layers.Input((4, 3)), layer]))
    layer = model_config["config"]["layers"][1]
    return dict(layer["config"])


def test_positional_arguments_are_keras_s() -> None:
    assert first_layer(layers.Dense(3, "relu", False)) == {
        "units": 3,
        "activation": "relu",
        "use_bias": False,
        "name": "dense",
    }


def test_names_are_those_of_a_fresh_process() -> None:
    model = ff.Sequential(
        [
            layers.Input((8, 8)),
            layers.LSTM(4, return_sequences=True),
            layers.LSTM(4),
            layers.Dense(3),
            layers.Dense(3, name="mine"),
            layers.Dense(2),
        ]
    )
    names = [layer["config"]["name"] for layer in config_of(model)["config"]["layers"]]
    assert names == ["input_layer", "lstm", "lstm_1", "dense", "mine", "dense_1"]


@pytest.mark.parametrize(
    ("given", "batch_shape"),
    [
        (layers.Input((8, 8)), [None, 8, 8]),
        (layers.Input(shape=(8, 8), batch_size=4), [4, 8, 8]),
        (layers.Input(batch_shape=(4, 8, 8)), [4, 8, 8]),
        (layers.Input((None, 3), dtype="int32", name="words"), [None, None, 3]),
    ],
)
def test_an_input_has_a_batch_shape(given: Any, batch_shape: list[int | None]) -> None:
    layer = config_of(ff.Sequential([given, layers.Flatten()]))["config"]["layers"][0]
    assert layer["config"]["batch_shape"] == batch_shape


def test_an_input_shape_on_the_first_layer_is_an_input() -> None:
    old = ff.Sequential([layers.Dense(32, input_shape=(784,)), layers.Activation("relu")])
    new = ff.Sequential([layers.Input((784,)), layers.Dense(32), layers.Activation("relu")])
    assert config_of(old) == config_of(new)


def test_wrappers_take_layers_and_rnn_takes_cells() -> None:
    model = ff.Sequential(
        [
            layers.Input((6, 4)),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"),
            layers.TimeDistributed(layers.Dense(5)),
            layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True),
            layers.RNN(layers.SimpleRNNCell(3)),
        ]
    )
    built = keras.saving.deserialize_keras_object(config_of(model))
    assert built.output_shape == (None, 3)
    assert [layer.name for layer in built.layers] == [
        "bidirectional",
        "time_distributed",
        "rnn",
        "rnn_1",
    ]


def test_keras_and_short_form_layers_stand_together() -> None:
    model = ff.Sequential([layers.Input((4,)), keras.layers.Dense(3), layers.Dense(2)])
    assert keras.saving.deserialize_keras_object(config_of(model)).count_params() == 15 + 8


def test_a_model_may_stand_in_a_model() -> None:
    inner = ff.Sequential([layers.Input((4,)), layers.Dense(3)])
    outer = ff.Sequential([layers.Input((4,)), inner, layers.Dense(2)])
    assert keras.saving.deserialize_keras_object(config_of(outer)).count_params() == 15 + 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.LTSM(3), r"LTSM is not a known layer; did you mean LSTM"),
        (lambda: layers.Lambda(3), r"Lambda is refused: it carries code"),
        (lambda: layers.Dense(), r"layers.Dense.units: Dense needs this argument"),
        (lambda: layers.Dense(unit=3), r"layers.Dense.unit: no such argument; did you mean units"),
        (lambda: layers.Dense(3, units=3), r"layers.Dense.units: the argument is given twice"),
        (lambda: layers.Dense(*range(30)), r"takes at most \d+ arguments, 30 were given"),
        (lambda: ff.Sequential([3]), r"model.layers\[0\]: 3 is not a layer"),
        (lambda: ff.Sequential([layers.Dense]), r"model.layers\[0\]: .* is not a layer"),
        (lambda: ff.builder("models.build"), r"is not of the form module:function"),
        (lambda: ff.builder("models:build", x=object()), r"model.arguments.x"),
    ],
)
def test_a_bad_layer_is_refused_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make()


def test_an_unknown_layer_is_also_an_attribute_error() -> None:
    assert not hasattr(layers, "NoSuchLayer")
    with pytest.raises(FitfleetError):
        layers.NoSuchLayer  # noqa: B018


def test_the_layers_can_be_listed() -> None:
    assert {"Input", "LSTM", "MaxPool2D"} - set(dir(layers)) == {"MaxPool2D"}
    assert layers.MaxPool2D(2).class_name == "MaxPooling2D"
