"""The graph of a function, as TensorFlow optimised it for a call, to bytes and back.

Only operations of an allow-list (allowed_operations.py) are written or read, so a program from a
file can only compute.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.programs.allowed_operations import ALLOWED
from fitfleet.worker.keras_private import (
    FuncGraph,
    atomic_function,
    config_pb2,
    function_pb2,
)

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Stored:
    """A function that was read: its definition, and the inputs beside its arguments."""

    definition: Any  # FunctionDef, under a random name
    handles: Sequence[Any]  # of the variables, its last inputs
    outputs: int
    structure: Any  # of its result, with the index of an output at each leaf

    @classmethod
    def read(cls, content: bytes, variables: Sequence[Any]) -> Stored | None:
        """From `to_bytes`; None for other bytes, and for variables of other dtypes and shapes."""
        try:
            end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "big")
            about = json.loads(content[_LENGTH_BYTES:end])
            definition = function_pb2.FunctionDef.FromString(content[end:])
            captured = [variables[index] for index, _ in about["captured"]]
        except Exception:  # protobuf's DecodeError among them
            return None
        are_alike = [_description(v) for v in captured] == [text for _, text in about["captured"]]
        if not are_alike or not _is_allowed(definition):
            return None
        handles = [variable.value.handle for variable in captured]
        return cls(definition, handles, about["outputs"], about["structure"])

    def named(self, name: str) -> Any:
        """The definition under another name."""
        named = function_pb2.FunctionDef()
        named.CopyFrom(self.definition)
        named.signature.name = name
        return named

    def packed(self, outputs: Sequence[Any]) -> Any:
        """The outputs in the structure of the Python function's result, tuples as lists."""
        return _packed(self.structure, outputs)


def to_bytes(function: Any, graphs: Any, variables: Sequence[Any]) -> bytes | None:
    """A concrete function as bytes; `graphs` are those of its first call.

    None for one that cannot be stored: it captures a tensor of this process, or has an operation
    that is not allowed.
    """
    places = {id(variable.value.handle): index for index, variable in enumerate(variables)}
    captured = [places.get(id(tensor), -1) for tensor in function.captured_inputs]
    structure = _structure(function.structured_outputs, iter(range(len(function.outputs))))
    graph = _optimised(function, graphs)
    if -1 in captured or graph is None:
        return None
    definition = _definition(function, graph)
    if not _is_allowed(definition):
        return None
    about = {
        "captured": [[index, _description(variables[index])] for index in captured],
        "outputs": len(function.outputs),
        "structure": structure,
    }
    text = json.dumps(about).encode()
    content: bytes = definition.SerializeToString(deterministic=True)
    return len(text).to_bytes(_LENGTH_BYTES, "big") + text + content


def attributes(options: bytes) -> tuple[Any, ...]:
    """The attributes of a call without optimising the graph again."""
    config = config_pb2.ConfigProto.FromString(options)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return ("executor_type", "", "config_proto", config.SerializeToString())


def _description(variable: Any) -> str:
    return f"{variable.dtype} {tuple(variable.shape)}"


def _structure(result: Any, numbers: Iterator[int]) -> Any:
    """The structure of a result, with `numbers` in place of its tensors."""
    if isinstance(result, dict):  # TensorFlow flattens it in the order of its names
        parts = {name: _structure(result[name], numbers) for name in sorted(result)}
        return {name: parts[name] for name in result}
    if isinstance(result, list | tuple):
        return [_structure(part, numbers) for part in result]
    return next(numbers)


def _packed(structure: Any, outputs: Sequence[Any]) -> Any:
    if isinstance(structure, dict):
        return {name: _packed(part, outputs) for name, part in structure.items()}
    if isinstance(structure, list):
        return [_packed(part, outputs) for part in structure]
    return outputs[structure]


def _optimised(function: Any, graphs: Any) -> Any:
    """The optimised graph of the function, among all that were collected in its call."""
    optimised = (traced.post_optimization_graph for traced in graphs.function_graphs)
    matching = [graph for graph in optimised if _is_of(graph, function)]
    return matching[0] if len(matching) == 1 else None


def _is_of(graph: Any, function: Any) -> bool:
    """Whether inputs and outputs are those of the function; unused inputs may be missing."""
    inputs = {node.attr["index"].i: node.attr["T"].type for node in graph.node if node.op == "_Arg"}
    outputs = [node for node in graph.node if node.op == "_Retval"]
    dtypes = [tensor.dtype.as_datatype_enum for tensor in function.inputs]
    are_inputs = all(index < len(dtypes) and dtypes[index] == t for index, t in inputs.items())
    return are_inputs and len(outputs) == len(function.outputs)


def _definition(function: Any, graph: Any) -> Any:
    """The graph as the definition of a function. It calls no others, which are all inlined."""
    body = tf.compat.v1.GraphDef(versions=graph.versions)
    arguments = {index: f"unused_{index}" for index in range(len(function.inputs))}
    results = {}
    for node in graph.node:
        node.ClearField("experimental_debug_info")
        if node.op == "_Arg":
            arguments[node.attr["index"].i] = node.name
        elif node.op == "_Retval":
            results[node.attr["index"].i] = node.input[0]
        else:
            body.node.add().CopyFrom(node)
    for index, tensor in enumerate(function.inputs):
        node = body.node.add(name=arguments[index], op="Placeholder")
        node.attr["dtype"].type = tensor.dtype.as_datatype_enum
    name = f"fitfleet_{uuid.uuid4().hex}"
    copy = FuncGraph(name)
    with copy.as_default():
        tf.graph_util.import_graph_def(body, name="")
    copy.inputs = [copy.get_tensor_by_name(f"{arguments[i]}:0") for i in sorted(arguments)]
    copy.outputs = [_tensor(copy, results[i]) for i in sorted(results)]
    return atomic_function.from_func_graph(name, copy, {}).definition


def _tensor(graph: Any, name: str) -> Any:
    return graph.get_tensor_by_name(name if ":" in name else f"{name}:0")


def _is_allowed(definition: Any) -> bool:
    """Whether all operations are on the allow-list, which has none that calls a function."""
    return all(node.op in ALLOWED for node in definition.node_def)
