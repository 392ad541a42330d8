"""The check of a spec before its row is written, without TensorFlow.

The canonical form has let through only classes and arguments of the catalogue; here their values
are bounded, custom classes are held against the trusted modules, and shapes are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import catalog
from fitfleet.spec.canonical import model_kind, refusal
from fitfleet.spec.job import JobSpec
from fitfleet.spec.reference import is_custom
from fitfleet.spec.shapes import Shape, shape_and_weights
from fitfleet.spec.trust import is_trusted

_MAX_VOCABULARY = 5_000_000
_MAX_DIMENSION = 65_536
_MAX_UNROLLED_STEPS = 64
_OPERATIONS = "keras.src.ops."
# Pure functions of tensors that Keras writes into Functional configs (masks, operators).
_ALLOWED_OPERATIONS = frozenset(
    (
        "Add",
        "Subtract",
        "Multiply",
        "TrueDivide",
        "Divide",
        "Negative",
        "NotEqual",
        "Equal",
        "Greater",
        "GreaterEqual",
        "Less",
        "LessEqual",
        "GetItem",
        "Concatenate",
        "Stack",
        "Reshape",
        "Transpose",
        "ExpandDims",
        "Squeeze",
        "Mean",
        "Sum",
        "Max",
        "Min",
        "Maximum",
        "Minimum",
        "Matmul",
        "Power",
        "Square",
        "Sqrt",
        "Exp",
        "Log",
        "Absolute",
        "Tanh",
        "Clip",
        "LogicalOr",
        "LogicalAnd",
        "Any",
        "All",
    )
)
_SIZES = ("units", "filters", "output_dim", "num_heads", "key_dim", "value_dim")


@dataclass(frozen=True)
class InputFacts:
    """An input of the model; `shape` without the batch dimension, None for a free one."""

    name: str
    shape: Shape
    dtype: str


@dataclass(frozen=True)
class OutputFacts:
    """An output of the model; `shape` is None when it is not known without Keras."""

    name: str
    shape: Shape | None
    activation: str | None


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model without Keras; `parameters` is a lower bound."""

    parameters: int
    layers: int
    inputs: list[InputFacts]
    outputs: list[OutputFacts]
    is_stateful: bool
    batch_size: int | None


UNKNOWN = ModelFacts(0, 0, [], [], False, None)


def check(spec: JobSpec, settings: Settings) -> ModelFacts:
    """What is known of the job's model. Raises SpecError, naming the place, for what is refused."""
    _check_custom(spec, settings)
    if spec.model.config is None:
        return UNKNOWN
    config = spec.model.config["config"]
    layers = config["layers"]
    count = sum(1 for _ in _layers(layers, "model.layers"))
    if count > settings.max_layers:
        raise SpecError("model", f"{count} layers; at most {settings.max_layers} (max_layers)")
    for layer, place in _layers(layers, "model.layers"):
        _check_layer(layer, place, settings)
    facts = _sequential(config) if _is_sequential(spec) else _functional(config)
    if facts.parameters > settings.max_parameters:
        raise SpecError(
            "model",
            f"{facts.parameters:,} weights; at most {settings.max_parameters:,} (max_parameters)",
        )
    return facts


def _is_sequential(spec: JobSpec) -> bool:
    return model_kind(spec.model.config) == "Sequential"


def _layers(layers: list[Any], place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every layer with its place, wrapped ones and nested models included."""
    for index, layer in enumerate(layers):
        yield from _inside(layer, f"{place}[{index}]")


def _inside(layer: Any, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    if not isinstance(layer, dict) or "class_name" not in layer:
        return
    yield layer, place
    config = layer.get("config") or {}
    for key in ("layer", "backward_layer", "cell"):
        yield from _inside(config.get(key), f"{place}.{key}")
    for key in ("cells", "layers"):
        if isinstance(config.get(key), list):
            yield from _layers(config[key], f"{place}.{key}")


def _check_custom(spec: JobSpec, settings: Settings) -> None:
    parts = {"model": spec.model.config, "loss": spec.loss, "metrics": spec.metrics}
    parts |= {"weighted_metrics": spec.weighted_metrics, "optimizer": spec.optimizer}
    for place, part in parts.items():
        for document in _custom(part):
            module = str(document.get("module") or "")
            name = document.get("registered_name") or document.get("class_name")
            if not is_trusted(module, settings):
                raise SpecError(
                    place,
                    f"{name} of module {module!r} is not Keras's; a worker runs it only when"
                    " its module is in the setting trusted_modules",
                )
    paths = [("evaluators", one.path) for one in spec.evaluators]
    if spec.model.builder is not None:
        paths.append(("model", spec.model.builder.path))
    for place, path in paths:
        module = path.partition(":")[0]
        if not is_trusted(module, settings):
            raise SpecError(place, f"{path}: put {module!r} in the setting trusted_modules")


def _custom(document: Any) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        if "class_name" in document and is_custom(document):
            yield document
        for value in document.values():
            yield from _custom(value)
    elif isinstance(document, list):
        for value in document:
            yield from _custom(value)


def _check_layer(layer: dict[str, Any], place: str, settings: Settings) -> None:
    module, name = str(layer.get("module") or ""), str(layer["class_name"])
    if module.startswith(_OPERATIONS):
        if name not in _ALLOWED_OPERATIONS:
            raise SpecError(place, f"the operation {name} is not allowed")
        return
    if is_custom(layer) or model_kind(layer) is not None:
        return
    if catalog.signature("layers", name) is None:
        raise SpecError(place, refusal(name, module))
    config = layer.get("config") or {}
    for key in _SIZES:
        if key in config and config[key] is not None:
            _check_size(config[key], f"{place}.{key}", settings.max_units)
    if "input_dim" in config:
        _check_size(config["input_dim"], f"{place}.input_dim", _MAX_VOCABULARY)
    for key in ("kernel_size", "pool_size", "strides", "dilation_rate", "n", "groups"):
        for part in _parts(config.get(key)):
            _check_size(part, f"{place}.{key}", 1024 if key != "n" else 10_000)
    for part in _parts(config.get("target_shape")):
        if part != -1:
            _check_size(part, f"{place}.target_shape", _MAX_VOCABULARY)
    for key in ("rate", "dropout", "recurrent_dropout"):
        rate = config.get(key, 0)
        is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not is_number or not 0 <= rate < 1:
            raise SpecError(f"{place}.{key}", f"{rate!r} is not a number from 0 to below 1")
    if name == "InputLayer":
        _check_input(config, place)


def _parts(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _check_size(value: Any, place: str, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(place, f"{value!r} is not a positive integer")
    if value > most:
        raise SpecError(place, f"{value:,} is more than the {most:,} allowed")


def _check_input(config: dict[str, Any], place: str) -> None:
    shape = config.get("batch_shape", config.get("shape"))
    if not isinstance(shape, list) or not 1 <= len(shape) <= 6:
        raise SpecError(f"{place}.shape", f"{shape!r} is not a list of up to 5 dimensions")
    for size in shape:
        if size is not None:
            _check_size(size, f"{place}.shape", _MAX_DIMENSION)


def _defaults(name: str) -> dict[str, Any]:
    signature = catalog.signature("layers", name)
    return {} if signature is None else signature.defaults


def _input_facts(layer: dict[str, Any]) -> InputFacts:
    config = layer["config"]
    shape = config.get("batch_shape") or [None, *config.get("shape", [])]
    return InputFacts(config.get("name", ""), tuple(shape[1:]), config.get("dtype") or "float32")


def _batch_size(layer: dict[str, Any]) -> int | None:
    shape = layer["config"].get("batch_shape") or [None]
    size = shape[0]
    return size if isinstance(size, int) else None


def _is_stateful(layers: list[Any]) -> bool:
    return any((one.get("config") or {}).get("stateful") is True for one, _ in _layers(layers, ""))


def _activation(layer: dict[str, Any]) -> str | None:
    config = layer.get("config") or {}
    if layer["class_name"] == "Softmax":
        return "softmax"
    found = config.get("activation", "linear")
    return found if isinstance(found, str) else None


def _sequential(config: dict[str, Any]) -> ModelFacts:
    layers = config["layers"]
    if not layers:
        raise SpecError("model.layers", "the model has no layers")
    inputs: list[InputFacts] = []
    shape: Shape | None = None
    batch_size = None
    if layers[0]["class_name"] == "InputLayer":
        inputs = [_input_facts(layers[0])]
        shape, batch_size = inputs[0].shape, _batch_size(layers[0])
    elif isinstance(config.get("build_input_shape"), list):
        whole = config["build_input_shape"]
        inputs = [InputFacts("input", tuple(whole[1:]), "float32")]
        shape = inputs[0].shape
    weights = 0
    body = layers[1:] if layers[0]["class_name"] == "InputLayer" else layers
    for layer in body:
        shape, more = shape_and_weights(layer, shape, _defaults)
        weights += more
    last = layers[-1]
    name = (last.get("config") or {}).get("name") or ""
    outputs = [OutputFacts(name, shape, _activation(last))]
    return ModelFacts(weights, len(layers), inputs, outputs, _is_stateful(layers), batch_size)


def _functional(config: dict[str, Any]) -> ModelFacts:
    layers = {layer["config"].get("name"): layer for layer in config["layers"]}
    inputs = [_input_facts(layers[name]) for name in _ends(config.get("input_layers"), layers)]
    weights = 0
    shapes: dict[str, Shape | None] = {}
    for name, layer in layers.items():
        fed = next(iter(_tensor_shapes(layer.get("inbound_nodes"))), None)
        shapes[name], more = (
            (None, 0)
            if layer["class_name"] == "InputLayer" or is_custom(layer)
            else shape_and_weights(layer, fed, _defaults)
        )
        weights += more
    outputs = [
        OutputFacts(name, shapes[name], _activation(layers[name]))
        for name in _ends(config.get("output_layers"), layers)
    ]
    first = next((one for one in layers.values() if one["class_name"] == "InputLayer"), None)
    batch_size = _batch_size(first) if first else None
    stateful = _is_stateful(config["layers"])
    return ModelFacts(weights, len(layers), inputs, outputs, stateful, batch_size)


def _ends(value: Any, layers: dict[str, Any]) -> list[str]:
    """Names of the layers that inputs or outputs come from, in order."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return [value[0]] if value[0] in layers else []
    parts = value.values() if isinstance(value, dict) else value
    return [name for part in parts or () for name in _ends(part, layers)] if parts else []


def _tensor_shapes(value: Any) -> Iterator[Shape]:
    """Shapes of the tensors that a node is called with, the first one first."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield tuple(value["config"]["shape"][1:])
            return
        for part in value.values():
            yield from _tensor_shapes(part)
    elif isinstance(value, list):
        for part in value:
            yield from _tensor_shapes(part)
