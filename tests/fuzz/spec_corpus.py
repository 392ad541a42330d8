"""Good specs in their JSON and YAML forms, and ways to damage them."""

from __future__ import annotations

import copy
import json
import random
from typing import Any


def _layer(name: str, config: Any = None, module: str = "keras.layers", **more: Any) -> Any:
    return {"module": module, "class_name": name, "config": config or {}, **more}


def _tensor(name: str, *shape: int | None, call: int = 0) -> Any:
    config = {"shape": [None, *shape], "dtype": "float32", "keras_history": [name, call, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def _called(layer: Any, name: str, *args: Any) -> Any:
    config = {**layer["config"], "name": name}
    return {**layer, "config": config, "name": name, "inbound_nodes": [{"args": list(args)}]}


def _graph() -> Any:
    start = _layer("InputLayer", {"batch_shape": [None, 6, 4], "name": "a"})
    nump = "keras.src.ops.numpy"
    constant = {"class_name": "__numpy__", "config": {"value": [1.0] * 4, "dtype": "float32"}}
    dots = [{"class_name": "__ellipsis__", "config": {}}, 0]
    layers = [
        {**start, "name": "a", "inbound_nodes": []},
        _called(_layer("Subtract", {}, nump), "b", _tensor("a", 6, 4), constant),
        _called(_layer("Einsum", {"subscripts": "btf,btg->bfg"}, nump), "c", *[_tensor("b")] * 2),
        _called(_layer("GetItem", {}, nump), "d", _tensor("c"), dots),
        _called(_layer("Pad", {"pad_width": [[0, 0], [1, 2]]}, nump), "e", _tensor("d")),
        _called(_layer("Dense", {"units": 2}), "f", _tensor("e")),
        _called(_sequential(_layer("Dense", {"units": 3})), "g", _tensor("f", 2)),
    ]
    config = {"name": "m", "layers": layers, "input_layers": [["a", 0, 0]]}
    config["output_layers"] = [["g", 0, 0], ["f", 0, 0]]
    return _layer("Functional", config, "keras.src.models.functional")


def _sequential(*layers: Any, shape: tuple[int, ...] = (2,)) -> Any:
    start = _layer("InputLayer", {"batch_shape": [None, *shape]})
    return _layer("Sequential", {"name": "s", "layers": [start, *layers]}, "keras")


def _recurrent() -> Any:
    cells = _layer("StackedRNNCells", {"cells": [_layer("LSTMCell", {"units": 3})] * 2})
    return _sequential(
        _layer("Bidirectional", {"layer": _layer("GRU", {"units": 3, "return_sequences": True})}),
        _layer("RNN", {"cell": cells, "unroll": True}),
        _layer("Dense", {"units": 1, "kernel_regularizer": {"L2": {"l2": 0.1}}}),
        shape=(5, 4),
    )


def _images() -> Any:
    return _sequential(
        _layer("Conv2D", {"filters": 4, "kernel_size": [3, 3], "padding": "same"}),
        _layer("ZeroPadding2D", {"padding": [[1, 0], [2, 2]]}),
        _layer("Conv2DTranspose", {"filters": 2, "kernel_size": 3, "output_padding": 1}),
        _layer("AdaptiveAveragePooling2D", {"output_size": 2}),
        _layer("Flatten"),
        _layer("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3}),
        shape=(9, 8, 3),
    )


def seeds() -> list[dict[str, Any]]:
    """Keywords of `Fleet.submit`, each of which passes."""
    short = {"Sequential": [{"Input": {"shape": [4]}}, {"Dense": {"units": 1}}]}
    rate = {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}
    both = {"dataset": "nowhere/x.npz", "loss": "mse"}
    return [
        {**both, "model": short, "optimizer": {"Adam": {"learning_rate": 0.1}}, "epochs": 3},
        {**both, "model": _graph(), "loss": {"f": "mse", "g": "mae"}, "metrics": [["mae"], None]},
        {**both, "model": _recurrent(), "optimizer": {"Muon": {"exclude_layers": ["dense"]}}},
        {
            **both,
            "model": _images(),
            "metrics": ["accuracy", {"AUC": {"num_thresholds": 20}}],
            "optimizer": {"SGD": {"learning_rate": {"ExponentialDecay": rate}}},
            "callbacks": [{"EarlyStopping": {"monitor": "val_loss", "patience": 2}}],
            "class_weight": {"0": 1.0, "1": 2.0},
            "evaluators": [],
        },
        {
            "model": short,
            "loss": {"Huber": {"delta": 2.0}},
            "dataset": {"path": "x.h5", "x": ["a", "b"], "windows": {"length": 3}},
            "loss_weights": [1.0],
            "params": {"a": {"b": [1, None, "c"]}},
            "validation_split": 0.2,
            "dtype_policy": "mixed_float16",
        },
    ]


_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 10**30, -0.0, 1.5, 1e300, float("nan"), float("inf")),
    *(
        "",
        "a",
        "../x",
        "x" * 300,
        "\ud800",
        "\x00",
        "\x1b[31m",
        "(a|a)*$",
        "__main__:f",
        "os:system",
    ),
    *([], {}, [[]], [None], {"a": 1}, {"$space": "choice", "options": [1, 2]}, {"class_name": 3}),
    {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
    {"module": "os", "class_name": "system", "config": {}, "registered_name": "os>system"},
    {"module": "builtins", "class_name": "function", "config": "eval"},
    {"class_name": "__tensor__", "config": {"value": [[1], [1, 2]], "dtype": "float32"}},
    {"class_name": "__typespec__", "config": [], "spec_name": "x", "module": "os"},
    *("Lambda", "Dense", "LSTM", "Sequential", "Functional", "keras.layers", "Map", "sin"),
]


def damaged(seed: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A copy with one to four places of it changed."""
    document = copy.deepcopy(seed)
    for _ in range(draw.randint(1, 4)):
        places = list(_places(document))
        holder, key = draw.choice(places)
        _change(holder, key, draw, places)
    return document


def _change(holder: Any, key: Any, draw: random.Random, places: list[Any]) -> None:
    kind = draw.randrange(6)
    if kind == 0:
        holder[key] = copy.deepcopy(draw.choice(_ODD))
    elif kind == 1:
        other, name = draw.choice(places)
        try:
            holder[key] = copy.deepcopy(other[name])
        except (KeyError, IndexError):
            holder[key] = None
    elif kind == 2 and isinstance(holder, dict):
        holder[draw.choice(["name", "config", "module", "class_name", "unroll", "axis"])] = holder[
            key
        ]
    elif kind == 3:
        del holder[key]
    elif kind == 4 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * draw.choice([-1, 0, 2, 1000, 10**6])
    else:
        holder[key] = [holder[key]]


def _places(value: Any) -> Any:
    if isinstance(value, dict):
        for key, part in value.items():
            yield value, key
            yield from _places(part)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield value, index
            yield from _places(part)


def yaml_texts() -> list[str]:
    """Job files that are read."""
    return [
        *(json.dumps(seed, indent=1) for seed in seeds()),
        "model: &m {Sequential: [{Input: {shape: [4]}}, {Dense: {units: 1}}]}\nloss: mse\n"
        "dataset: x.npz\n"
        "params:\n  <<: *m\n  rate: 1e-3\n  when: 2024-01-01\n  text: |\n    more\n",
    ]


_PIECES = [
    *("&a ", "*a", "!!int ", "!!python/name:os.system ", "<<: ", "- ", "{", "}", "[", "]", ": "),
    *("\n", "  ", "'", '"', "|\n", "? ", "---\n", "0x", "9" * 99, "\\uD800", ".inf", "~", "\t"),
]


def damaged_text(text: str, draw: random.Random) -> str:
    """The text with pieces put in, taken out or doubled."""
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(text) + 1)
        end = min(at + draw.randint(0, 20), len(text))
        piece = draw.choice([draw.choice(_PIECES), text[at:end] * 2, ""])
        text = text[:at] + piece + text[end:]
    return text
