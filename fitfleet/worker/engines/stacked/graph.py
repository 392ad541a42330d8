"""Running a Keras graph for K models at once: every tensor and variable has a leading axis K.

Most operations are Keras's, mapped over K (vectorized_map.py). Others are implemented here:
recurrent layers (rnn.py), convolutions (convolutions.py), and embeddings, whose gradients must stay
sparse because Keras's optimizers treat sparse ones differently from dense ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from fitfleet.worker.engines.stacked import convolutions, rnn, vectorized_map

# Keras's masks, and the logits of a softmax or sigmoid: crossentropies are computed from these and
# not from the rounded probabilities (`_get_logits` in keras/src/backend/tensorflow/nn.py).
_CARRIED = ("_keras_mask", "_keras_logits")


class Unfusable(Exception):
    """A part of the model cannot be trained in a stack. The message names it."""


class Stack:
    """The values (K, ...) of variables while a program is traced, by variable."""

    def __init__(
        self, variables: Sequence[Any], values: Sequence[Any], everywhere: Sequence[Any] = ()
    ) -> None:
        """`everywhere` are variables that any operation may read."""
        self._everywhere = everywhere
        self._values = {id(v): value for v, value in zip(variables, values, strict=True)}
        # (variable, row numbers (K, n), gathered rows (K, n, d)) of the embeddings that ran
        self.gathered: list[tuple[Any, Any, Any]] = []
        self.watch: Callable[[Any], None] = lambda tensor: None  # the gradient tape's

    def get(self, variables: Sequence[Any]) -> list[Any]:
        """The values of variables, each (K, ...)."""
        return [self._values[id(v)] for v in variables]

    def set(self, variables: Sequence[Any], values: Sequence[Any]) -> None:
        """Replace values."""
        for variable, value in zip(variables, values, strict=True):
            self._values[id(variable)] = value

    def mapped(
        self, function: Callable[..., Any], variables: Sequence[Any], *arguments: Any
    ) -> Any:
        """`function(*arguments)` for each of the K models, with the values of its variables.

        Nested tensors in `arguments` have the leading axis K. Variables that the function assigns
        are set in the stack; one that is not in `variables` raises Unfusable.
        """
        variables = [*variables, *self._everywhere]
        changed: list[Any] = []

        def of_model(row: Any) -> Any:
            values, arguments_of_model = row
            with _scope(variables, values) as scope:
                outputs = function(*arguments_of_model)
                changed[:] = _assigned(scope, variables, values)
                return outputs, [scope.get_current_value(v) for v in changed]

        outputs, new = vectorized_map.mapped(of_model, (self.get(variables), arguments))
        self.set(changed, new)
        return outputs


def _scope(variables: Sequence[Any], values: Sequence[Any]) -> Any:
    """A StatelessScope; its constructor would refuse values with open dimensions."""
    scope = keras.StatelessScope(collect_losses=False)
    for variable, value in zip(variables, values, strict=True):
        scope.state_mapping[id(variable)] = tf.convert_to_tensor(value)
    return scope


def _assigned(scope: Any, variables: Sequence[Any], values: Sequence[Any]) -> list[Any]:
    """The variables that were assigned. Raises Unfusable for others than `variables`."""
    ids = {id(v) for v in variables}
    if any(key not in ids for key in scope.state_mapping):
        raise Unfusable("a step assigns a variable that is not part of the model's state")
    pairs = zip(variables, values, strict=True)
    return [v for v, value in pairs if scope.get_current_value(v) is not value]


def run(model: Any, stack: Stack, inputs: Any, *, training: bool) -> Any:
    """The model's outputs for K models; inputs and outputs are (K, batch, ...)."""
    graph = getattr(model, "_functional", None) or model
    structure = graph._inputs_struct
    if isinstance(inputs, dict) and not isinstance(structure, dict):
        inputs = [inputs[reference.name] for reference in tf.nest.flatten(structure)]
    pairs = zip(tf.nest.flatten(inputs), graph._inputs, strict=True)
    tensors = [_as_input(tensor, reference) for tensor, reference in pairs]
    outputs = graph._run_through_graph(
        tensors, operation_fn=lambda operation: _Operation(operation, stack, training)
    )
    return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs


def carried(tensors: Any) -> dict[str, Any]:
    """Keras's attributes of nested tensors (_CARRIED), by index of the tensor and name.

    They are attributes of the tensor objects, so each mapping has to copy them to its results.
    """
    return {
        f"{place:05}{name}": getattr(leaf, name)
        for place, leaf in enumerate(tf.nest.flatten(tensors))
        for name in _CARRIED
        if getattr(leaf, name, None) is not None
    }


def carry(tensors: Any, by_place: dict[str, Any]) -> None:
    """Set these attributes on nested tensors: the inverse of `carried`."""
    leaves = tf.nest.flatten(tensors)
    for key, value in by_place.items():
        setattr(leaves[int(key[:5])], key[5:], value)


def _check_gradients(operation: Any) -> None:
    """Raises Unfusable for an operation that would make a sparse gradient of Keras dense."""
    for layer in operation._flatten_layers() if isinstance(operation, keras.Layer) else ():
        if isinstance(layer, keras.layers.Embedding):
            raise Unfusable(f"the embedding {layer.name} is inside of {operation.name}")


def _as_input(tensor: Any, reference: Any) -> Any:
    """The tensor in the rank and dtype of the graph's input, by the rules of Keras's Functional."""
    rank = len(reference.shape) + 1
    if tensor.shape.rank == rank - 1 and reference.shape[-1] == 1:
        tensor = tensor[..., None]
    elif tensor.shape.rank == rank + 1 and tensor.shape[-1] == 1:
        tensor = tf.squeeze(tensor, -1)
    return tf.cast(tensor, reference.dtype)


class _Operation:
    """A node of the graph, called with tensors (K, batch, ...)."""

    def __init__(self, operation: Any, stack: Stack, training: bool) -> None:
        self._operation, self._stack, self._training = operation, stack, training

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        operation = self._operation
        if type(operation) is keras.layers.Embedding:
            return self._embed(*args)
        if rnn.is_known(operation, args, kwargs):
            cell = operation.cell
            variables = (cell.kernel, cell.recurrent_kernel, cell.bias)
            weights = self._stack.get([v for v in variables if v is not None])
            return rnn.run(operation, args[0], weights)
        if isinstance(operation, keras.layers.RNN) and self._is_open():
            raise Unfusable(f"{operation.name} is not supported with unknown widths")
        if convolutions.is_known(operation):
            kernel, *bias = self._stack.get([operation.kernel, *self._bias()])
            return convolutions.run(operation, args[0], kernel, bias[0] if bias else None)
        return self._map(args, kwargs)

    def _bias(self) -> list[Any]:
        return [self._operation.bias] if self._operation.use_bias else []

    def _is_open(self) -> bool:
        values = self._stack.get(self._operation.variables)
        return any(None in value.shape[1:] for value in values)

    def _map(self, args: Any, kwargs: Any) -> Any:
        operation, training = self._operation, self._training
        _check_gradients(operation)
        flat = tf.nest.flatten((args, kwargs))
        places = [index for index, leaf in enumerate(flat) if tf.is_tensor(leaf)]
        layout: list[Any] = []
        kept: set[str] = set()

        def call(tensors: Any, attributes: Any) -> Any:
            leaves = list(flat)
            carry(tensors, attributes)
            for place, tensor in zip(places, tensors, strict=True):
                leaves[place] = tensor
            args_of_model, kwargs_of_model = tf.nest.pack_sequence_as((args, kwargs), leaves)
            if "training" in getattr(operation, "_call_context_args", {}):
                kwargs_of_model["training"] = training
            outputs = operation(*args_of_model, **kwargs_of_model)
            layout[:] = [outputs]
            kept.update(carried(tensors))
            return tf.nest.flatten(outputs), carried(outputs)

        tensors = [flat[index] for index in places]
        variables = getattr(operation, "variables", [])
        given = carried(tensors)
        leaves, attributes = self._stack.mapped(call, variables, tensors, given)
        # MultiHeadAttention takes the masks off its inputs, so that layers after it see none.
        carry(tensors, dict.fromkeys(given.keys() - kept))
        carry(leaves, attributes)
        return tf.nest.pack_sequence_as(layout[0], leaves)

    def _embed(self, numbers: Any) -> Any:
        layer = self._operation
        variable = layer._embeddings
        if any(other is variable for other, _, _ in self._stack.gathered):
            raise Unfusable(f"the embedding {layer.name} is used twice")
        (table,) = self._stack.get([variable])
        shape, depth = tf.shape(table), vectorized_map.dimension(table, -1)
        is_word = tf.not_equal(numbers, 0)
        numbers = tf.cast(numbers, tf.int32)
        rows = tf.reshape(numbers, (shape[0], -1))
        offsets = tf.range(shape[0])[:, None] * shape[1]
        flat = tf.reshape(tf.stop_gradient(table), (-1, depth))
        rows_of_table = tf.gather(flat, rows + offsets)
        self._stack.watch(rows_of_table)
        self._stack.gathered.append((variable, rows, rows_of_table))
        outputs = tf.reshape(rows_of_table, tf.concat([tf.shape(numbers), [depth]], 0))
        outputs = tf.ensure_shape(outputs, (*numbers.shape, table.shape[-1]))
        outputs = tf.cast(outputs, layer.compute_dtype)
        if layer.mask_zero:
            outputs._keras_mask = is_word
        return outputs
