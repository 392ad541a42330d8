"""A model, given in any of its four forms, as the canonical config that is stored.

The forms: a Keras object, a Keras config (dict, JSON text, or a .json or .yaml file), the short
form, and a builder. Keras is never imported here; a builder may import it itself.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import limits, yaml_text
from fitfleet.spec.job import Builder, ModelSpec
from fitfleet.spec.keras_objects.canonical import canonical_model, refusal
from fitfleet.spec.keras_objects.custom_objects import NotSerialisableError
from fitfleet.spec.keras_objects.lossy_configs import recover
from fitfleet.spec.keras_objects.object_documents import to_document
from fitfleet.spec.keras_objects.precision import tell_policies
from fitfleet.spec.keras_objects.script_settings import policy_of_built
from fitfleet.spec.keras_objects.trained_weights import (
    changed_weight,
    weights_without_initializer,
    without_matrices,
)
from fitfleet.spec.keras_objects.unreadable_configs import check_config, no_model_text, not_a_model
from fitfleet.spec.keras_objects.user_code import unreadable
from fitfleet.spec.parts.builder_calls import call
from fitfleet.spec.parts.builder_log_names import BuiltNames, names_of
from fitfleet.spec.parts.compile import losses
from fitfleet.spec.parts.layers import as_builder, builder
from fitfleet.spec.parts.short_form import from_short

_COMPILED = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "jit_compile")
_cache: OrderedDict[str, tuple[ModelSpec, dict[str, Any]]] = OrderedDict()
_CACHE_SIZE = 64


@dataclass(frozen=True)
class BuiltByWorker:
    """A builder that a worker calls, and what the model that it returned here was compiled with."""

    spec: ModelSpec
    compiled: dict[str, Any]
    names: BuiltNames | None = None  # in its logs


def model_spec(
    model: Any, settings: Settings, *, is_scripted: bool = False
) -> tuple[ModelSpec, dict[str, Any]]:
    """(the model in canonical form, the arguments of `compile` of a compiled Keras object).

    A builder runs here, so its module must be trusted, unless `is_scripted`: the caller's script
    named it. A builder from a file or a row of the database never is.
    Raises SpecError for anything that is not a model, with the place of what is wrong.
    """
    return read_model(model, settings, is_scripted=is_scripted)[:2]


def read_model(
    model: Any, settings: Settings, *, is_scripted: bool = False
) -> tuple[ModelSpec, dict[str, Any], BuiltNames | None]:
    """The same, and the names in the logs of a model that a worker builds."""
    model = opened_model(model, settings, is_scripted=is_scripted)
    if isinstance(model, ModelSpec):
        return model, {}, None
    if isinstance(model, BuiltByWorker):
        return model.spec, dict(model.compiled), model.names
    if hasattr(model, "_flatten_layers"):
        _refuse_trained(model)
    return *_from_document(model_document(model)), None


def opened_model(model: Any, settings: Settings, *, is_scripted: bool = False) -> Any:
    """The model of a path or builder: a Keras object, a document, the short form.

    BuiltByWorker if a worker has to call the builder. Raises SpecError as `model_spec`.
    """
    model = os.fspath(model) if isinstance(model, os.PathLike) else as_builder(model)
    if isinstance(model, str) and not model.lstrip().startswith("{"):
        is_scripted = is_scripted and not _is_file(model)
        model = _from_text(model)
    if isinstance(model, dict) and {"builder", "path"} & set(model) and "config" not in model:
        model = builder_of(model)
    if isinstance(model, Builder):
        built, is_workers = call(model, settings, is_scripted=is_scripted)
        if not is_workers or _is_described(built):
            return built
        said = _compiled_by(built) | policy_of_built(built)
        return BuiltByWorker(ModelSpec(builder=model), said, names_of(built))
    return model


def _is_described(model: Any) -> bool:
    """Whether a worker can create the model from its config, with the classes in it.

    Not if a layer keeps no initialiser: its weights would be those of this object for any seed.
    """
    if model is None or not type(model).__module__.startswith("keras."):
        return False
    try:
        _from_document(model_document(model))
    except SpecError:
        return False
    return unreadable(model) is None and weights_without_initializer(model) is None


def builder_of(document: dict[str, Any]) -> Builder:
    """`{"builder": "module:function", "units": 16}`, or the same under `arguments`, as in YAML.

    Raises SpecError for arguments in both forms, and for other values.
    """
    if set(document) == {"path", "arguments", "hyperparameters"}:  # as it is stored
        values = document["hyperparameters"]
        stored = builder_of({key: document[key] for key in ("path", "arguments")})
        return stored.model_copy(update={"hyperparameters": values})
    path = document.get("builder") or document.get("path")
    rest = {key: value for key, value in document.items() if key not in ("builder", "path")}
    arguments = rest.pop("arguments", None)
    if not isinstance(path, str) or not isinstance(arguments, dict | None) or (rest and arguments):
        raise SpecError(
            "model",
            "a builder is {builder: 'module:function', units: 16}, or all its arguments stand in a"
            " mapping under `arguments`",
        )
    return builder(path, **(arguments or rest))


def _from_text(text: str) -> Any:
    """A path of a config file, or `module:function`."""
    if _is_file(text):
        return _from_file(Path(text))
    _, separator, function = text.partition(":")
    if separator and function.isidentifier():
        return builder(text)
    raise SpecError("model", no_model_text(text))


def _is_file(text: str) -> bool:
    return text.endswith((".json", ".yaml", ".yml"))


def _from_file(path: Path) -> Any:
    shown = repr(str(path))[1:-1][:200]
    try:
        if path.exists() and not path.is_file():
            raise SpecError("model", f"{shown} is not a file")
        with path.open(encoding="utf-8") as file:
            text = file.read(limits.MAX_BYTES + 1)
    except OSError as error:
        raise SpecError("model", f"{shown} cannot be read: {error.strerror}") from None
    except ValueError as error:  # no UTF-8, or no path
        raise SpecError("model", f"{shown} cannot be read: {error}") from None
    if path.suffix == ".json":
        return text
    limits.check_bytes(text)
    return yaml_text.load(text, f"model file {shown}")


def model_document(model: Any, *, with_matrices: bool = True) -> str:
    """The JSON text of a model without weights; its size and depth are checked when it is parsed.

    `with_matrices` false: without the arrays of `Constant`, which are weights.
    """
    if isinstance(model, str):
        return model
    if isinstance(model, dict):
        document = from_short(model)
    elif isinstance(model, type):
        raise SpecError("model", not_a_model(model))
    elif hasattr(model, "to_layer") or hasattr(model, "get_config"):
        document = _serialised(model)
        document = document if with_matrices else without_matrices(document)
        recover(model, document)
        tell_policies(model, document)
        _read_compiled(model, document)
    else:
        raise SpecError("model", not_a_model(model))
    try:
        return json.dumps(to_document(document, "model"), allow_nan=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise SpecError("model", f"it cannot be written as JSON: {error}") from None


def _serialised(model: Any) -> Any:
    """Keras's document of an object. SpecError if a worker cannot create the model from it."""
    fix = "give a function that makes the model: model=ff.builder(make_model)"
    try:
        document = to_document(model, "model")
    except NotSerialisableError as error:
        reason = str(error).removeprefix("model: ").rstrip(".")
        raise SpecError("model", f"{reason}; or {fix}") from None
    _refuse_lambda_layers(document, "model")
    name = unreadable(model)
    if name is not None:
        raise SpecError(
            "model",
            f"{name} cannot be made from its get_config(), which has to give the arguments of"
            f" __init__; or {fix}",
        )
    return document


def _refuse_lambda_layers(document: Any, place: str) -> None:
    """Raises SpecError for a Lambda layer, before its code is serialised."""
    layers = document.get("config", {}).get("layers") if isinstance(document, dict) else None
    for index, layer in enumerate(layers or ()):
        at = f"{place}.layers[{index}]"
        if layer.get("class_name") == "Lambda":
            raise SpecError(at, refusal("Lambda"))
        _refuse_lambda_layers(layer, at)


def _refuse_trained(model: Any) -> None:
    place = changed_weight(model)
    if place is not None:
        raise SpecError(
            "model",
            f"the weights of this object were trained or set ({place}), and a job would start from"
            " its initialisers' instead; submit a model whose weights are as Keras made them",
        )


def _read_compiled(model: Any, document: dict[str, Any]) -> None:
    """The arguments of `compile`, from the objects: Keras's config omits the modules of functions
    and some arguments of losses and metrics.
    """
    compiled = getattr(getattr(model, "_compile_config", None), "config", None)
    if isinstance(compiled, dict):
        document["compile_config"] = {
            name: to_document(value, name) for name, value in compiled.items()
        }


def _compiled_by(model: Any) -> dict[str, Any]:
    """The same of a model of a custom class; empty if that overrides `compile`."""
    method = getattr(type(model), "compile", None)
    if method is None or not str(method.__module__).startswith("keras."):
        return {}
    document: dict[str, Any] = {}
    try:
        _read_compiled(model, document)
    except SpecError:
        return {}  # what cannot be serialised stays as the builder compiled it
    compiled = document.get("compile_config", {})
    return _compile_parts(
        {**compiled, "run_eagerly": False}
    )  # the worker's builder raises it again


def compiled_loss(model: Any) -> Any:
    """The loss of a compiled object in canonical form; None for one that cannot be serialised."""
    try:
        return losses(_compiled_by(model).get("loss"))
    except SpecError:
        return None


def _from_document(text: str) -> tuple[ModelSpec, dict[str, Any]]:
    """The canonical form of a JSON text; recent results are cached, as sweeps repeat models."""
    parsed = _cache.get(text)
    if parsed is None:
        document = limits.parse(text, "model")
        check_config(document)
        compiled = document.pop("compile_config", None)
        policy = document.pop("dtype_policy", None)
        parts = _compile_parts(compiled) if isinstance(compiled, dict) else {}
        if policy is not None:
            parts["dtype_policy"] = policy
        parsed = ModelSpec(config=canonical_model(document)), parts
        _cache[text] = parsed
        while len(_cache) > _CACHE_SIZE:
            _cache.popitem(last=False)
    model, parts = parsed
    return model, dict(parts)


def _compile_parts(compiled: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `compile` in a document. Raises SpecError for what a worker would refuse."""
    unknown = set(compiled) - {*_COMPILED, "run_eagerly", "steps_per_execution"}
    unknown -= {"auto_scale_loss"}
    if unknown:
        raise SpecError("model.compile_config", f"unknown entries: {', '.join(sorted(unknown))}")
    if compiled.get("run_eagerly"):
        raise SpecError(
            "model.compile_config.run_eagerly",
            "a worker's steps are compiled; compile the model without it, or, if its steps cannot"
            " be compiled, let a function make and compile it: model=ff.builder(make_model)",
        )
    steps = compiled.get("steps_per_execution")
    parts = {key: compiled[key] for key in _COMPILED if compiled.get(key) is not None}
    if steps is not None and steps != 1:
        parts["steps_per_execution"] = steps
    return parts
