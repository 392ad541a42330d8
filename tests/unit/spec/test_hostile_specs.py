"""Specs made to read files, run code, or use up a worker: each is refused with a sentence."""

import json
from typing import Any

import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check
from fitfleet.spec.submission import job_spec

SETTINGS = Settings()


def layer(
    class_name: str, config: Any = None, module: str = "keras.layers", **more: Any
) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config or {}, **more}


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def sequential(*layers: Any, shape: tuple[int, ...] = (4,), **more: Any) -> dict[str, Any]:
    start = layer("InputLayer", {"batch_shape": [None, *shape]})
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": [start, *layers]},
        **more,
    }


def dense(**arguments: Any) -> dict[str, Any]:
    return layer("Dense", {"units": 1, **arguments})


def graph(*args: Any) -> dict[str, Any]:
    """A Functional model whose Dense layer is called with these arguments."""
    start = layer("InputLayer", {"batch_shape": [None, 4], "name": "a"}, name="a", inbound_nodes=[])
    end = dense(name="b") | {"name": "b", "inbound_nodes": [{"args": list(args), "kwargs": {}}]}
    config = {
        "name": "f",
        "layers": [start, end],
        "input_layers": [["a", 0, 0]],
        "output_layers": [["b", 0, 0]],
    }
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
TENSOR: dict[str, Any] = {
    "class_name": "__keras_tensor__",
    "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["a", 0, 0]},
}

HOSTILE: dict[str, Any] = {
    "units as text": sequential(dense(units="9" * 200)),
    "units as a float": sequential(dense(units=4.0)),
    "kernel of text": sequential(
        layer("Conv1D", {"filters": 4, "kernel_size": ["a"]}), shape=(9, 4)
    ),
    "config is a list": sequential(
        {"module": "keras.layers", "class_name": "Dense", "config": [1]}
    ),
    "huge reshape": sequential(layer("Reshape", {"target_shape": [10**9]})),
    "a layer is not a model": layer("Dense", {"units": 1}),
    "lambda with code": sequential(layer("Lambda", {"function": LAMBDA})),
    "lambda over a named function": sequential(
        layer("Lambda", {"function": function("keras.ops", "tile")})
    ),
    "any function as activation": sequential(
        dense(activation=function("keras.saving", "get_registered_name"))
    ),
    "code as activation": sequential(dense(activation=LAMBDA)),
    "module from the path": sequential(layer("X", {}, module="keras_hub")),
    "reads a file": sequential(layer("StringLookup", {"vocabulary": "/etc/passwd"})),
    "reads a file as words": sequential(
        layer("TextVectorization", {"vocabulary": "/etc/passwd"}), shape=()
    ),
    "standardizes by code": sequential(
        layer("TextVectorization", {"vocabulary": ["a"], "standardize": LAMBDA}), shape=()
    ),
    "loads a saved model": sequential(layer("TFSMLayer", {"filepath": "/x"})),
    "too many units": sequential(dense(units=300_000_000)),
    "too many weights": sequential(
        layer("Embedding", {"input_dim": 5_000_000, "output_dim": 8000})
    ),
    "too many layers": sequential(*(dense(name=f"d{i}") for i in range(3000))),
    "another name registered": sequential(dense() | {"registered_name": "plug>Dense"}),
    "name is a path": sequential(dense(name="../x")),
    "loss is any function": sequential(
        dense(), compile_config={"loss": function("keras.ops", "outer")}
    ),
    "metric wraps any function": sequential(
        dense(),
        compile_config={
            "metrics": [
                layer(
                    "MeanMetricWrapper",
                    {"fn": function("keras.ops", "pad")},
                    module="keras.metrics",
                )
            ]
        },
    ),
    "runs eagerly": sequential(dense(), compile_config={"run_eagerly": True}),
    "unroll of many steps": sequential(layer("LSTM", {"units": 1, "unroll": True}), shape=(600, 1)),
    "raw array": sequential(
        dense(activation={"class_name": "__numpy__", "config": {"value": [0], "dtype": "f8"}})
    ),
    "steps without end": sequential(dense(), compile_config={"steps_per_execution": 10**9}),
    "twice the key": '{"class_name": "Sequential", "class_name": "X"}',
    "not a number": '{"a": NaN}',
    "without bottom": "{" + '"a":{' * 100_000 + "}" * 100_001,
    "long integer": '{"a": ' + "9" * 5000 + "}",
    "two megabytes": json.dumps(sequential(dense(name="x" * 2_000_000))),
    "weights in the config": sequential(
        layer("Embedding", {"input_dim": 2, "output_dim": 2, "weights": [[1, 2], [3, 4]]})
    ),
    "lora": sequential(dense(lora_rank=4)),
    "quantised": sequential(dense(quantization_config={"module": "os", "class_name": "system"})),
    "code between the nodes": graph(TENSOR, LAMBDA),
    "function between the nodes": graph(TENSOR, function("keras.ops", "tile")),
    "type from anywhere": graph(
        TENSOR, {"class_name": "__typespec__", "config": [], "spec_name": "x", "module": "os"}
    ),
    "a loop": graph(
        {
            "class_name": "__keras_tensor__",
            "config": {**TENSOR["config"], "keras_history": ["b", 0, 0]},
        }
    ),
    "a layer that is missing": graph(
        {
            "class_name": "__keras_tensor__",
            "config": {**TENSOR["config"], "keras_history": ["z", 0, 0]},
        }
    ),
    "custom class that nobody trusts": sequential(
        layer("Scale", {}, module="evil", registered_name="evil>Scale")
    ),
    "module as an operator": sequential(layer("Add", {}, module="keras.src.ops.evil")),
    "operator that reads": sequential(layer("Load", {}, module="keras.src.ops.numpy")),
    "initialiser that is none": sequential(dense(kernel_initializer=layer("Dense", {"units": 1}))),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_spec_is_refused(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        model = HOSTILE[name]
        given = {} if "compile_config" in model else {"loss": "mse"}
        check(job_spec(SETTINGS, model=model, dataset="x.npz", **given), SETTINGS)
    message = str(caught.value)
    assert len(message) < 400
    assert "\n" not in message


@pytest.mark.parametrize(
    "part",
    [
        {"optimizer": layer("Adam", {"learning_rate": LAMBDA}, module="keras.optimizers")},
        {"optimizer": layer("LossScaleOptimizer", {}, module="keras.optimizers")},
        {"loss": function("os", "system")},
        {
            "loss": layer(
                "LossFunctionWrapper", {"fn": function("keras.ops", "pad")}, "keras.losses"
            )
        },
        {"metrics": [layer("Sum", {"name": {"module": "os"}}, "keras.metrics")]},
        {"metrics": [{"AUC": {"thresholds": LAMBDA}}]},
        {"callbacks": [{"ModelCheckpoint": {"filepath": "/etc/x"}}]},
        {"callbacks": [{"LearningRateScheduler": {"schedule": function("os", "system")}}]},
        {"callbacks": [{"RemoteMonitor": {"root": "http://x"}}]},
        {"steps_per_execution": 10**9},
        {"evaluators": ["os:system"]},
    ],
    ids=lambda part: f"{next(iter(part))}",
)
def test_a_hostile_part_of_compile_is_refused(part: dict[str, Any]) -> None:
    given = {"optimizer": "sgd", "loss": "mse", **part}
    with pytest.raises(SpecError):
        check(job_spec(SETTINGS, model=sequential(dense()), dataset="x.npz", **given), SETTINGS)


NAMELESS: dict[str, Any] = {
    "a cell without a class": layer("RNN", {"cell": {"config": {}}}, "mine"),
    "cells whose class is a list": layer(
        "StackedRNNCells", {"cells": [{"class_name": ["LSTMCell"], "config": {}}]}, "mine"
    ),
    "a wrapped layer whose config is a list": layer(
        "Bidirectional", {"layer": {"class_name": "Own", "module": "mine", "config": []}}
    ),
}


@pytest.mark.parametrize("name", NAMELESS)
def test_a_layer_of_nobody_may_hold_anything_and_gets_a_sentence(name: str) -> None:
    """What stands in the config of a class that is not Keras's is counted with care."""
    model = sequential(NAMELESS[name], shape=(5, 4))
    with pytest.raises(SpecError, match="trusted_modules"):
        check(job_spec(SETTINGS, model=model, dataset="x", optimizer="sgd", loss="mse"), SETTINGS)


def test_what_is_not_hostile_passes() -> None:
    for model in (sequential(dense()), graph(TENSOR)):
        spec = job_spec(SETTINGS, model=model, dataset="x.npz", optimizer="sgd", loss="mse")
        assert check(spec, SETTINGS).parameters == 5


def test_a_custom_class_of_a_trusted_module_passes() -> None:
    custom = layer("Scale", {"by": 2}, module="mine.layers", registered_name="mine>Scale")
    settings = SETTINGS.replace(trusted_modules=("mine",))
    spec = job_spec(
        settings, model=sequential(custom), dataset="x.npz", optimizer="sgd", loss="mse"
    )
    assert not check(spec, settings).is_exact
    with pytest.raises(SpecError, match=r"model\.layers\[1\]: mine>Scale .*trusted_modules"):
        check(spec, SETTINGS)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            sequential(dense(), dense(units=0)),
            "model.layers[2].units: 0 is not a positive integer",
        ),
        (
            sequential(layer("LTSM", {"units": 3})),
            "model.layers[1]: LTSM is not a known layer; did you mean LSTM",
        ),
        (
            sequential(dense(activtion="relu")),
            "model.layers[1].activtion: Dense has no such argument; did you mean activation",
        ),
        (
            sequential(dense(activation="rleu")),
            "model.layers[1].activation: rleu is unknown; did you mean relu",
        ),
        (
            sequential(
                layer("Bidirectional", {"layer": layer("LSTM", {"units": -1})}), shape=(4, 1)
            ),
            "model.layers[1].layer.units: -1 is not a positive integer",
        ),
        (
            sequential(layer("Dropout", {"rate": 1.5})),
            "model.layers[1].rate: 1.5 is not a number from 0 to below 1",
        ),
        (sequential(layer("Lambda", {})), "model.layers[1]: Lambda is refused: it carries code"),
        (
            sequential(dense(units=9000)),
            "model.layers[1].units: 9,000 is more than the 8,192 allowed",
        ),
    ],
)
def test_the_message_names_the_place(model: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        check(job_spec(SETTINGS, model=model, dataset="x", optimizer="sgd", loss="mse"), SETTINGS)
    assert str(caught.value).startswith(message)
