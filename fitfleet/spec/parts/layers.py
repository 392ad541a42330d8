"""The short form: layers of Keras by name, without importing Keras.

`ff.layers.LSTM(32, return_sequences=True)` records the class and its arguments; names, order and
defaults are those of Keras. Every argument may be a search space. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import isfunction
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.job import Builder
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.canonical import SEQUENTIAL, layer_names, refusal
from fitfleet.spec.keras_objects.custom_objects import check_reachable
from fitfleet.spec.keras_objects.object_documents import to_document
from fitfleet.spec.keras_objects.unreadable_configs import takes_hyperparameters


class UnknownLayerError(SpecError, AttributeError):
    """The name of no layer of Keras, or of a refused one. The message has the nearest names."""


class Layer:
    """A layer of Keras with its arguments, as `ff.layers.*` makes it."""

    def __init__(self, class_name: str, arguments: dict[str, Any]) -> None:
        self.class_name = class_name
        self.arguments = arguments

    def to_layer(self) -> dict[str, Any]:
        """Keras's config of the layer; search spaces inside it in their JSON form."""
        config = {
            name: to_document(value, f"{self.class_name}.{name}")
            for name, value in self.arguments.items()
        }
        if self.class_name == "RNN" and isinstance(config.get("cell"), list):
            cells = {"cells": config["cell"]}
            config["cell"] = {
                "module": "keras.layers",
                "class_name": "StackedRNNCells",
                "config": cells,
            }
        return {"module": "keras.layers", "class_name": self.class_name, "config": config}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"layers.{self.class_name}({arguments})"


class Sequential:
    """A stack of layers: `ff.Sequential([ff.layers.Input((8, 8)), ff.layers.Dense(10)])`.

    Layers are those of `ff.layers`, Keras layer objects, other Sequential models, or, in a sweep,
    a choice of layers or `ff.repeat`. Raises SpecError for anything else.
    """

    def __init__(self, layers: Sequence[Any] = (), name: str | None = None) -> None:
        self.layers: list[Any] = []
        self.name = name
        for layer in layers:
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Appends a layer."""
        place = f"model.layers[{len(self.layers)}]"
        if isinstance(layer, type) or not (
            hasattr(layer, "to_layer") or hasattr(layer, "get_config") or hasattr(layer, "to_space")
        ):
            raise SpecError(place, f"{layer!r} is not a layer; use those of fitfleet.layers")
        self.layers.append(layer)

    def to_layer(self) -> dict[str, Any]:
        """Keras's config of the model; search spaces inside it in their JSON form."""
        documents = [
            to_document(layer, f"model.layers[{i}]") for i, layer in enumerate(self.layers)
        ]
        documents = _with_input(documents)
        module, class_name = SEQUENTIAL
        config: dict[str, Any] = {"layers": documents}
        if self.name is not None:
            config["name"] = self.name
        return {"module": module, "class_name": class_name, "config": config}

    def to_json(self) -> dict[str, Any]:
        """The same as `to_layer`: a document that can be stored and submitted."""
        return self.to_layer()

    def __repr__(self) -> str:
        return f"Sequential({self.layers!r})"


def _with_input(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers, with an Input for `input_shape=` of the first, as in Keras 2."""
    if not documents or not isinstance(documents[0].get("config"), dict):
        return documents
    config = documents[0]["config"]
    arguments: dict[str, Any] = {}
    if "batch_input_shape" in config:
        arguments["batch_shape"] = config.pop("batch_input_shape")
    elif "input_shape" in config:
        arguments["shape"] = config.pop("input_shape")
    if not arguments:
        return documents
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": arguments}
    return [first, *documents]


_LEGACY = ("input_shape", "batch_input_shape")


def layer(class_name: str, /, *positional: Any, **arguments: Any) -> Layer:
    """A layer by the name of its class. SpecError for a name or an argument Keras lacks."""
    wanted = "InputLayer" if class_name == "Input" else class_name
    name = catalog.class_name("layers", wanted)
    signature = catalog.signature("layers", name) if name else None
    if signature is None:
        raise UnknownLayerError(f"layers.{class_name[:60]}", refusal(class_name))
    place = f"layers.{class_name}"
    if len(positional) > len(signature.arguments):
        max_arguments = len(signature.arguments)
        raise SpecError(
            place, f"takes at most {max_arguments} arguments, {len(positional)} were given"
        )
    named = dict(zip(signature.arguments, positional, strict=False))
    for argument in arguments:
        if argument in named:
            raise SpecError(f"{place}.{argument}", "the argument is given twice")
        if argument not in signature.known and argument not in _LEGACY:
            hint = catalog.nearest(argument, signature.known)
            raise SpecError(f"{place}.{argument}", f"no such argument; {hint}")
    named.update(arguments)
    for argument in signature.required:
        if argument not in named:
            raise SpecError(f"{place}.{argument}", f"{class_name} needs this argument")
    return Layer(signature.name, named)


class Custom:
    """A class or function of the user by its module and name, from `ff.custom`."""

    def __init__(self, module: str, name: str, arguments: dict[str, Any]) -> None:
        self.module, self.name, self.arguments = module, name, arguments

    def to_layer(self) -> dict[str, Any]:
        """Keras's config of it; search spaces inside it in their JSON form."""
        registered = f"{self.module}>{self.name}"
        reference = {"module": self.module, "registered_name": registered}
        if not self.arguments and not self.name[:1].isupper():
            return {**reference, "class_name": "function", "config": registered}
        config = to_document(self.arguments, self.name)
        return {**reference, "class_name": self.name, "config": config}

    def __repr__(self) -> str:
        arguments = "".join(f", {name}={value!r}" for name, value in self.arguments.items())
        return f"custom({self.module}:{self.name}{arguments})"


def custom(path: str, /, **arguments: Any) -> Custom:
    """A layer, loss, metric, ... of yours: `ff.custom("note_layers:Scale", factor=2)`.

    Arguments are those of the class, and may be search spaces; nothing is imported here. A name in
    small letters without arguments is a function. Its module goes with the job, or is trusted by
    the workers (setting `trusted_modules`). SpecError for another form.
    """
    module, name = _module_and_name(path, "custom", "module:Class")
    return Custom(module, name, arguments)


def _module_and_name(path: str, place: str, form: str) -> tuple[str, str]:
    module, _, name = path.partition(":")
    if not name or not all(part.isidentifier() for part in (*module.split("."), name)):
        raise SpecError(place, f"{path!r} is not of the form {form}")
    return module, name


def builder(path: str | Callable[..., Any], **arguments: Any) -> Builder:
    """A function that returns a Keras model, or its name `"my_models:build"`, and its arguments.

    It is called where the job is submitted if it can be imported there, else by the worker if
    its module is trusted (setting `trusted_modules`). An argument may be a search space.
    """
    if not isinstance(path, str):
        check_reachable(path, "model")
        path = f"{path.__module__}:{path.__name__}"
    _module_and_name(path, "model", "module:function")
    return Builder(path=path, arguments=to_document(arguments, "model.arguments"))


def as_builder(model: Any) -> Any:
    """A function that makes the model as its builder; all else, and KerasTuner's, as it is."""
    return builder(model) if isfunction(model) and not takes_hyperparameters(model) else model


def __getattr__(name: str) -> Callable[..., Layer]:
    if name.startswith("__"):
        raise AttributeError(name)
    if name != "Input" and catalog.class_name("layers", name) is None:
        raise UnknownLayerError(f"layers.{name}", refusal(name))

    def make(*positional: Any, **arguments: Any) -> Layer:
        return layer(name, *positional, **arguments)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"keras.layers.{name}, recorded; its arguments are those of Keras."
    globals()[name] = make
    return make


def __dir__() -> list[str]:
    return [*layer_names(), "Layer", "Sequential", "builder", "custom"]
