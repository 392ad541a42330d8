"""Write signatures.json from the Keras that is installed here.

For developers, after a change of the Keras version:
`python -m fitfleet.spec.keras_names.make_signatures`.

The table is data for the client, which never imports Keras; a test compares it with the
installed Keras. It is also the allow-list: what is not named here is refused.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from fitfleet.spec.keras_names.make_names import (
    CALLBACKS,
    CONSTRAINTS,
    INITIALIZERS,
    LAYERS,
    LOSSES,
    METRICS,
    ONE_OF,
    OPTIMIZERS,
    PRIVATE_LAYERS,
    REGULARIZERS,
    SAMPLES,
    SCHEDULES,
)
from fitfleet.spec.keras_names.make_operations import operations
from fitfleet.spec.number_forms import shortest

TABLE = Path(__file__).with_name("signatures.json")


# Arguments that carry weights, change the model after it is built, or name other objects.
REFUSED = {
    "weights",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
    "input_tensor",
    "registered_name",
    "gptq_unpacked_column_size",
}

CLASSES = {
    "layers": ("keras.layers", LAYERS),
    "losses": ("keras.losses", LOSSES),
    "metrics": ("keras.metrics", METRICS),
    "optimizers": ("keras.optimizers", OPTIMIZERS),
    "schedules": ("keras.optimizers.schedules", SCHEDULES),
    "initializers": ("keras.initializers", INITIALIZERS),
    "regularizers": ("keras.regularizers", REGULARIZERS),
    "constraints": ("keras.constraints", CONSTRAINTS),
    "callbacks": ("keras.callbacks", CALLBACKS),
}
FUNCTION_MODULES = {
    "losses": "keras.losses",
    "metrics": "keras.metrics",
    "activations": "keras.activations",
}


def signatures() -> dict[str, Any]:
    """The table that is written to signatures.json."""
    keras = importlib.import_module("keras")
    table: dict[str, Any] = {"keras": keras.__version__}
    for kind, (module, names) in CLASSES.items():
        table[kind] = {name: _entry(module, name) for name in names}
    for module, layers in PRIVATE_LAYERS.items():
        for name in layers:
            table["layers"][name] = {**_entry(module, name), "module": module}
    table["aliases"] = {kind: _aliases(kind, table[kind]) for kind in CLASSES}
    table["functions"] = {kind: _functions(kind) for kind in FUNCTION_MODULES}
    table["operations"] = operations()
    return table


def _entry(module: str, name: str) -> dict[str, Any]:
    cls = getattr(importlib.import_module(module), name)
    parameters = [
        p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"
    ]
    named = [
        p
        for p in parameters
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL) and p.name not in REFUSED
    ]
    required = [p.name for p in named if p.default is p.empty]
    defaults = _defaults(module, cls, required, {p.name: p.default for p in named})
    row: dict[str, Any] = {"arguments": [p.name for p in named], "required": required}
    row["defaults"] = defaults
    needed = [] if module == "keras.callbacks" else _needed(cls, required, defaults)
    return {**row, "needed": needed} if needed else row


def _needed(cls: Any, required: list[str], defaults: dict[str, Any]) -> list[str]:
    """The defaults without which Keras cannot create the object from its config."""
    document = _document(cls, required, is_second=False)
    config = document["config"]
    deserialize = importlib.import_module("keras.saving").deserialize_keras_object

    def is_made_without(names: Any) -> bool:
        kept = {k: v for k, v in config.items() if k not in names}
        try:
            deserialize({**document, "config": kept})
        except (KeyError, TypeError):
            return False
        return True

    names = [name for name in defaults if name in config and config[name] == defaults[name]]
    if is_made_without(names):
        return []
    return [name for name in names if not is_made_without([name])]


def _defaults(
    module: str, cls: Any, required: list[str], written: dict[str, Any]
) -> dict[str, Any]:
    """The result of get_config with only the required arguments set, without those.

    A value that depends on a required argument (the strides of a pooling layer) is not a default;
    then, and for arguments that get_config omits, the default of the signature is taken.
    """
    if module == "keras.callbacks":
        return {k: v for k, v in written.items() if k not in required}
    first, second = (_config(cls, required, is_second) for is_second in (False, True))
    left = {*REFUSED, *ONE_OF.get(cls.__name__, ())}
    defaults = {k: v for k, v in first.items() if v == second[k] and k not in left}
    for name, value in written.items():
        if name not in defaults and (value is None or isinstance(value, bool | int | float | str)):
            defaults[name] = value
    for name in (*required, "dtype"):
        defaults.pop(name, None)
    if module != "keras.metrics":  # a metric's name is the key of its values in the history
        defaults.pop("name", None)
    if "pool_size" in written and "strides" in written:
        defaults["strides"] = None  # None means the pool size
    return {name: _short(value) for name, value in sorted(defaults.items())}


def _config(cls: Any, required: list[str], is_second: bool) -> dict[str, Any]:
    return dict(_document(cls, required, is_second)["config"])


def _document(cls: Any, required: list[str], is_second: bool) -> dict[str, Any]:
    """The serialised form of an object with only the required arguments."""
    arguments = {name: _sample(cls.__name__, name, is_second) for name in required}
    arguments.update(ONE_OF.get(cls.__name__, {}))
    if cls.__name__ == "InputLayer":
        arguments = {"shape": (2 if is_second else 1,)}
    saving = importlib.import_module("keras.saving")
    return dict(saving.serialize_keras_object(cls(**arguments)))


def _short(value: Any) -> Any:
    return shortest(value) if isinstance(value, float) else value


def _sample(class_name: str, argument: str, is_second: bool) -> Any:
    layers = importlib.import_module("keras.layers")
    units = 2 if is_second else 1
    if argument == "layer":
        return layers.LSTM(units) if class_name == "Bidirectional" else layers.Dense(units)
    if argument == "cell":
        return layers.LSTMCell(units)
    if argument == "cells":
        return [layers.LSTMCell(units)]
    value = SAMPLES[argument]
    if is_second and isinstance(value, int | float):
        return value * 2 if isinstance(value, int) else value / 2
    return value


def _aliases(kind: str, known: dict[str, Any]) -> dict[str, str]:
    """Other names of the same classes: `glorot_uniform`, `AvgPool2D`, `mse`."""
    public = importlib.import_module(CLASSES[kind][0])
    aliases: dict[str, str] = {}
    for name in dir(public):
        value = getattr(public, name)
        if inspect.isclass(value) and value.__name__ in known and name != value.__name__:
            aliases[name] = value.__name__
    if kind in ("initializers", "regularizers", "constraints", "optimizers"):
        source = importlib.import_module(f"keras.src.{kind}")
        for name, value in source.ALL_OBJECTS_DICT.items():
            if inspect.isclass(value) and value.__name__ in known and name != value.__name__:
                aliases[name] = value.__name__
    return dict(sorted(aliases.items()))


def _functions(kind: str) -> dict[str, str]:
    """{identifier: canonical name} of the functions that `compile` or `activation=` takes."""
    source = importlib.import_module(f"keras.src.{kind}")
    public = importlib.import_module(FUNCTION_MODULES[kind])
    functions: dict[str, str] = {}
    for name, value in source.ALL_OBJECTS_DICT.items():
        if inspect.isfunction(value) or (
            inspect.isclass(value) and kind == "metrics" and value.__name__ in METRICS
        ):
            functions[name] = value.__name__
    for name in dir(public):
        if inspect.isfunction(getattr(public, name)) and _is_found(public, name):
            functions.setdefault(name, getattr(public, name).__name__)
    return dict(sorted(functions.items()))


def _is_found(public: Any, name: str) -> bool:
    """Whether Keras resolves the name to a function."""
    try:
        return name not in ("get", "serialize", "deserialize") and bool(public.get(name))
    except ValueError:
        return False


def main() -> None:
    """Write the table beside this file."""
    TABLE.write_text(json.dumps(signatures(), indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"wrote {TABLE.name}\n")


if __name__ == "__main__":
    main()
