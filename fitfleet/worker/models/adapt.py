"""Keras's `adapt` on the training rows: of every layer named in the job, before the fit.

Each layer is given what it will see in the model: its input, through the layers before it, which
have no weights. Rows are taken whole and in their order, as in `layer.adapt(x_train)`; above
`WHOLE_BYTES` in batches, as from a `tf.data.Dataset`. So the state depends on the rows alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitfleet.data.arrays import Arrays
from fitfleet.errors import FitfleetError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.adapted_layers import (
    States,
    layers_to_adapt,
    layers_within,
    stepped,
    take_state,
)
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.canonical import model_kind
from fitfleet.spec.keras_objects.lossy_configs import write_vocabulary
from fitfleet.spec.limits import MAX_NODES, MAX_TEXT
from fitfleet.spec.shape_rules.graph import (
    End,
    end_of,
    ends_of,
    history_of,
    layer_name,
    nodes_of,
    tensors_of,
)
from fitfleet.worker.models.adapt_rows import Rows, following, inputs, steps
from fitfleet.worker.models.build import has_custom_classes, model_config, precision
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.user_code import imports

WHOLE_BYTES = 256 * 2**20


def adapt(spec: JobSpec, arrays: Arrays, settings: Settings, known: States) -> States:
    """What `adapt` finds for the layers of `spec.adapt`; a state in `known` is taken as it is.

    SpecError for a layer that cannot be adapted, naming it.
    """
    if has_custom_classes(spec):
        imports.import_named(spec, settings)
    config = copy.deepcopy(model_config(spec))
    adapter = _Adapter(spec.adapt, known)
    with precision(spec.dtype_policy):
        adapter.model(config, arrays.x)
    return adapter.states


class _Adapter:
    def __init__(self, patterns: list[str], known: States) -> None:
        self.states: States = {}
        self._patterns, self._known = patterns, known

    def model(self, model: dict[str, Any], x: Any, prefix: str = "") -> None:
        """Adapt what is in a model; its config then has the states. `x` are its inputs."""
        if not any(layers_to_adapt(model, self._patterns)):
            return
        kind = _Functional if model_kind(model) == "Functional" else _Sequential
        graph = kind(model, x)
        for layer in graph.in_order():
            path = f"{prefix}{layer_name(layer)}"
            if any(layers_within(layer, self._patterns, path)):
                self._layer(layer, partial(graph.inputs_of, layer), path)

    def _layer(self, layer: dict[str, Any], seen: Callable[[], list[Rows]], path: str) -> None:
        """Adapt what is in a layer that sees these rows."""
        inner = stepped(layer)
        if model_kind(layer) is not None:
            self.model(layer, seen(), f"{path}/")
        elif inner is not None:
            self._layer(inner, lambda: [steps(seen()[0])], f"{path}/{layer_name(inner)}")
        else:
            state = self._known.get(path) or _state(layer, seen()[0])
            self.states[path] = state
            take_state(layer, state)


class _Sequential:
    """Layers one after the other."""

    def __init__(self, model: dict[str, Any], x: Any) -> None:
        self._model, self._layers = model, model["config"]["layers"]
        self._inputs = inputs(x)

    def in_order(self) -> list[dict[str, Any]]:
        """As they are called."""
        return list(self._layers)

    def inputs_of(self, layer: dict[str, Any]) -> list[Rows]:
        """What the layer is called with."""
        before = self._layers[: self._layers.index(layer)]
        if all(layer_before["class_name"] == "InputLayer" for layer_before in before):
            return self._inputs
        part = {**self._model, "config": {**self._model["config"], "layers": before}}
        return [_output_of(part, self._inputs, layer_name(layer))]


class _Functional:
    """Layers in a graph."""

    def __init__(self, model: dict[str, Any], x: Any) -> None:
        self._model = model
        self._layers = {layer_name(layer): layer for layer in model["config"]["layers"]}
        self._inputs = dict(
            zip((end[0] for end in ends_of(self._declared)), self._in_order(x), strict=True)
        )

    @property
    def _declared(self) -> Any:
        return self._model["config"]["input_layers"]

    def _in_order(self, x: Any) -> list[Rows]:
        """Rows of each input, in the order of the model's inputs."""
        if not isinstance(x, dict):
            return inputs(x)
        by_key = isinstance(self._declared, dict)
        names = list(self._declared) if by_key else [end[0] for end in ends_of(self._declared)]
        return inputs([x[name] for name in names])

    def in_order(self) -> list[dict[str, Any]]:
        """Each layer after those before it."""
        done: dict[str, dict[str, Any]] = {}
        for name in self._layers:
            for before in self._before([name]):
                done.setdefault(before, self._layers[before])
        return list(done.values())

    def _before(self, names: Sequence[str]) -> list[str]:
        """The layers and all before them, those without inputs first."""
        order: list[str] = []
        pending = [(name, False) for name in names]
        seen: set[str] = set()
        while pending:
            name, is_ready = pending.pop()
            if is_ready:
                order.append(name)
            elif name not in seen:
                seen.add(name)
                sources = (end[0] for node in nodes_of(self._layers[name]) for end in _ends(node))
                pending += [(name, True), *((source, False) for source in sources)]
        return order

    def inputs_of(self, layer: dict[str, Any]) -> list[Rows]:
        """What the layer is called with."""
        name = layer_name(layer)
        calls = [[self._at(end, name) for end in _ends(node)] for node in nodes_of(layer)]
        return [following(of_input, name) for of_input in zip(*calls, strict=True)]

    def _at(self, end: End, wanted_by: str) -> Rows:
        if end[0] in self._inputs:
            return self._inputs[end[0]]
        names = self._before([end[0]])
        starts = [name for name in self._inputs if name in names]
        config = {
            "name": "before",
            "layers": [layer for name, layer in self._layers.items() if name in names],
            "input_layers": [[name, 0, 0] for name in starts],
            "output_layers": [list(end)],
        }
        part = {**self._model, "config": config}
        return _output_of(part, [self._inputs[name] for name in starts], wanted_by)


def _ends(node: Any) -> list[End]:
    return [end_of(history_of(tensor)) for tensor in tensors_of(node)]


def _output_of(model: Mapping[str, Any], sources: Sequence[Rows], wanted_by: str) -> Rows:
    """The output of a part of the model, which is built without weights."""
    try:
        part = keras.saving.deserialize_keras_object(copy.deepcopy(dict(model)))
    except (ValueError, TypeError, KeyError) as error:
        raise SpecError(
            "adapt", f"what is before {wanted_by!r} cannot be built: {explanation(error)}"
        ) from error

    def read(rows: slice) -> Any:
        batch = [tf.constant(tensor.read(rows)) for tensor in sources]
        return part(batch if len(batch) > 1 else batch[0], training=False).numpy()

    head = read(slice(0, 1))
    weights = [weight.path for weight in part.weights if "seed_generator" not in weight.path]
    if weights:
        raise SpecError(
            "adapt",
            f"{wanted_by!r} comes after {weights[0].split('/')[-2]!r}, which has weights, and"
            " adapt() would see what they are before the fit; put it before that layer",
        )
    del head
    return Rows(sources[0].count, read)


def _state(document: dict[str, Any], rows: Rows) -> dict[str, Any]:
    """The arguments that `adapt` finds for one layer."""
    name = layer_name(document)
    wanted = {key: document[key] for key in ("module", "class_name", "config")}
    try:
        layer = keras.saving.deserialize_keras_object(copy.deepcopy(wanted))
        layer.adapt(_whole(rows) if rows.nbytes <= WHOLE_BYTES else _batched(rows))
        state = _arguments(layer)
    except FitfleetError:
        raise
    except Exception as error:  # TensorFlow and Keras raise many kinds
        raise SpecError("adapt", f"{name!r}: Keras refuses it: {explanation(error)}") from error
    _check(name, state)
    print(f"adapted {name} to {rows.count:,} training rows", flush=True)
    return state


def _whole(rows: Rows) -> Any:
    array = np.concatenate(list(rows.batches()))
    return tf.constant(array) if array.dtype.kind in "SO" else array


def _batched(rows: Rows) -> Any:
    head = tf.constant(rows.read(slice(0, 1)))
    signature = tf.TensorSpec((None, *head.shape[1:]), head.dtype)
    return tf.data.Dataset.from_generator(rows.batches, output_signature=signature)


def _arguments(layer: Any) -> dict[str, Any]:
    if isinstance(layer, keras.layers.Normalization):
        return {
            "mean": layer.adapt_mean.numpy().tolist(),
            "variance": layer.adapt_variance.numpy().tolist(),
        }
    if isinstance(layer, keras.layers.Discretization):
        # Keras takes the one or the other.
        return {"bin_boundaries": list(map(float, layer.bin_boundaries)), "num_bins": None}
    config = {"output_mode": layer.get_config()["output_mode"]}
    write_vocabulary(layer, config)
    # Keras writes the size that a layer without words has into its config.
    del config["output_mode"]
    return {**config, "vocabulary_size": None}


def _check(name: str, state: dict[str, Any]) -> None:
    """Raises SpecError for a state that no specification holds."""
    for argument, value in state.items():
        parts = np.ravel(value).tolist() if value is not None else []
        if len(parts) > MAX_NODES // 2:
            raise SpecError(
                "adapt", f"{name!r} found {len(parts):,} values for {argument}; give it max_tokens"
            )
        long = next(
            (part for part in parts if isinstance(part, str) and len(part) > MAX_TEXT), None
        )
        if long is not None:
            raise SpecError(
                "adapt",
                f"{name!r} found the word {long[:30]!r}... of {len(long)} characters; at most"
                f" {MAX_TEXT} are kept; give it max_tokens, or split the texts otherwise",
            )
        if any(isinstance(part, float) and not math.isfinite(part) for part in parts):
            raise SpecError(
                "adapt",
                f"{name!r}: {argument} of the training rows is not finite; fill missing values, or"
                " leave their rows out",
            )
