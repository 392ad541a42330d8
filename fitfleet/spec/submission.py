"""From the keywords that a user gives to a JobSpec and JobOptions in canonical form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import FunctionType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import argument_aliases
from fitfleet.spec.adapted_layers import check_adapt, patterns_of
from fitfleet.spec.added_losses import check_loss
from fitfleet.spec.checks.combined_arguments import check_combined, check_freeze
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.job import Evaluator, JobOptions, JobSpec, ModelSpec, floatx_of
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_names.keras_arguments import instead
from fitfleet.spec.keras_objects import script_settings
from fitfleet.spec.keras_objects.canonical import without_default_dtypes
from fitfleet.spec.keras_objects.custom_objects import check_reachable
from fitfleet.spec.keras_objects.object_documents import is_space, to_document
from fitfleet.spec.keras_objects.output_forms import simplify
from fitfleet.spec.keywords import CHECKS, OPTION_CHECKS, is_integer, is_number
from fitfleet.spec.parts import compile as compile_parts
from fitfleet.spec.parts.builder_log_names import check_names_of_built, without_what_stays
from fitfleet.spec.parts.callbacks import callbacks
from fitfleet.spec.parts.model import read_model
from fitfleet.spec.requirements import job_labels
from fitfleet.text import DURATIONS, duration_s

_Part = TypeVar("_Part", bound=BaseModel)

# A task is asked of a fitted job, by its `predict` and `evaluate`.
SPEC_NAMES = frozenset(JobSpec.model_fields) - {"task"}
OPTION_NAMES = frozenset(JobOptions.model_fields)


def job_spec(
    settings: Settings, *, model: Any, dataset: Any, is_scripted: bool = False, **given: Any
) -> JobSpec:
    """All that decides a fit's numbers, from the keywords of `Fleet.submit`.

    What a compiled Keras object says is taken where the keyword is not given. `is_scripted`: a
    Python caller asks, whose builder runs here untrusted (`model_spec`).
    Raises SpecError or DatasetError, with the place of what is wrong.
    """
    for name in given:
        if name not in SPEC_NAMES:
            raise SpecError(name, _unknown(name))
    model_part, compiled, built = read_model(model, settings, is_scripted=is_scripted)
    if model_part.builder is not None and given.get("loss") is None:
        compiled = without_what_stays(compiled)
    values = {**compiled, **{k: v for k, v in given.items() if v is not None}}
    if is_scripted:
        script_settings.check(model_part, values, told=given)
    model_part = _without_default_policy(model_part, values)
    values["optimizer"] = compile_parts.optimizer(values.get("optimizer"))
    floatx = floatx_of(values.get("dtype_policy"))
    values["loss"] = compile_parts.losses(values.get("loss"), floatx)
    for name in ("metrics", "weighted_metrics"):
        values[name] = compile_parts.metrics(values.get(name), name, floatx)
    values["callbacks"] = callbacks(values.get("callbacks"))
    values["evaluators"] = _evaluators(values.get("evaluators"))
    if "class_weight" in values:
        values["class_weight"] = _class_weight(values["class_weight"])
    if "loss_weights" in values:
        values["loss_weights"] = _loss_weights(to_document(values["loss_weights"], "loss_weights"))
    values["adapt"] = patterns_of(values.get("adapt"))
    if "stop_after" in values:
        values["stop_after"] = _duration("stop_after", values["stop_after"])
    for name in values.keys() & CHECKS.keys():
        values[name] = _checked(name, values[name])
    simplify(values, model_part.config)
    _drop_defaults(values)
    spec = _validated(JobSpec, {**values, "model": model_part, "dataset": dataset_spec(dataset)})
    check_loss(spec)
    check_combined(spec)
    check_names_of_built(spec, built)
    _check_encoding(spec)
    check_freeze(spec)
    check_adapt(spec)
    return spec


def _without_default_policy(model: ModelSpec, values: dict[str, Any]) -> ModelSpec:
    """The model as it is without a dtype policy, where there is none or Keras's own, "float32"."""
    policy = values.get("dtype_policy")
    if policy not in (None, "float32"):
        return model
    if model.config is None:
        values.pop("dtype_policy", None)
        return model
    config = without_default_dtypes(model.config)
    if policy is None or config is not model.config:  # no layer has another type of its own
        values.pop("dtype_policy", None)
        return model.model_copy(update={"config": config})
    return model


def _drop_defaults(values: dict[str, Any]) -> None:
    """Leaves out, in place, what says the same as its absence: one fit is one job."""
    same = {
        "gradient_accumulation_steps": 1,
        "validation_batch_size": values.get(
            "batch_size", JobSpec.model_fields["batch_size"].default
        ),
        "class_weight": {},
        "metrics": [],
        "weighted_metrics": [],
    }
    for name, value in same.items():
        if name in values and values[name] == value:
            values[name] = None
    if "validation_split" in values:
        values["validation_split"] += 0.0  # -0.0 is 0.0


def _check_encoding(spec: JobSpec) -> None:
    """Raises SpecError for text that no database and no file can hold."""
    try:
        spec.model_dump_json()
    except ValueError:
        raise SpecError("spec", "a text in it has half a character, a lone surrogate") from None


def job_options(settings: Settings, **options: Any) -> JobOptions:
    """Where, when and how often a job runs. Raises SpecError."""
    for name in options:
        if name not in OPTION_NAMES:
            raise SpecError(name, _unknown(name))
    values = {k: v for k, v in options.items() if v is not None}
    for name in values.keys() & OPTION_CHECKS.keys():
        place = OPTION_CHECKS[name](values[name])
        if place:
            raise SpecError(name, f"{values[name]!r:.60} is not {place}")
    values["params"] = _params(values.get("params") or {})
    values["requires"] = job_labels(values.get("requires") or {})
    return _validated(JobOptions, values)


def _duration(name: str, value: Any) -> float:
    value = to_document(value, name)
    seconds = None if is_space(value) else duration_s(value)
    if seconds is None:
        raise SpecError(name, f"{value!r:.60} is not a duration; give {DURATIONS}")
    return seconds


def _unknown(name: str) -> str:
    known = [*SPEC_NAMES, *JobOptions.model_fields]
    nearest = f"no such argument; {catalog.nearest(name, known)}"
    return instead(name) or argument_aliases.of_a_job(name) or nearest


def _checked(name: str, value: Any) -> Any:
    value = to_document(value, name)
    if is_space(value):
        raise SpecError(name, "a search space belongs in a sweep (fleet.sweep), not in a job")
    words = CHECKS[name](value)
    if words:
        raise SpecError(name, f"{value!r:.60} is not {words}")
    return value


def _class_weight(value: Any) -> dict[str, float]:
    """{class index: weight}, as Keras takes it, the index as text so that it is JSON."""
    if not isinstance(value, Mapping):
        raise SpecError("class_weight", f"{value!r:.60} is not a mapping of class to weight")
    weights = {}
    for index, weight in value.items():
        place = f"class_weight.{index}"
        index = to_document(index, place)  # NumPy's integers are those of np.unique
        if not _is_class(index):
            raise SpecError(place[:80], f"{repr(index)[:40]} is not the index of a class")
        if str(int(index)) in weights:
            raise SpecError(place, f"class {int(index)} is given twice")
        weight = to_document(weight, place)
        if not is_number(weight) or weight < 0:
            raise SpecError(place, f"{weight!r:.40} is not a number of 0 or more")
        weights[str(int(index))] = float(weight) + 0.0
    return weights


def _loss_weights(value: Any) -> Any:
    """A number, a list, or a mapping of them, the numbers as floats: 1 and 1.0 are one job."""
    if isinstance(value, list):
        return [_loss_weights(part) for part in value]
    if isinstance(value, dict) and not is_space(value):
        return {key: _loss_weights(part) for key, part in value.items()}
    if value is not None and not is_space(value) and not is_number(value):
        raise SpecError("loss_weights", f"{repr(value)[:40]} is not a number")
    return value if value is None or is_space(value) else float(value) + 0.0


def _is_class(index: Any) -> bool:
    if isinstance(index, str):
        return index.isascii() and index.isdecimal() and len(index) <= 18
    return is_integer(index) and 0 <= index < 10**18


def _evaluators(value: Any) -> list[Evaluator]:
    if value is None:
        return []
    if isinstance(value, str | Evaluator | Mapping | FunctionType):
        value = [value]
    if not isinstance(value, list | tuple):
        raise SpecError("evaluators", f"{repr(value)[:60]} is not a list of 'module:function'")
    return [_evaluator(part, f"evaluators[{i}]") for i, part in enumerate(value)]


def _evaluator(value: Any, place: str) -> Evaluator:
    if isinstance(value, Evaluator):
        return value
    if isinstance(value, FunctionType):
        check_reachable(value, place)
        value = f"{value.__module__}:{value.__name__}"
    if isinstance(value, str):
        value = {"path": value}
    evaluator = _validated(Evaluator, to_document(value, place), place)
    module, _, function = evaluator.path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise SpecError(place, f"{evaluator.path!r} is not of the form module:function")
    return evaluator


def _params(value: Any) -> dict[str, Any]:
    params = to_document(value, "params")
    if not isinstance(params, dict):
        raise SpecError("params", f"{value!r:.60} is not a mapping of name to value")
    try:
        json.dumps(params, allow_nan=False)
    except ValueError:
        # SQL could not read them as JSON any more.
        raise SpecError("params", "has a NaN or infinite number, which JSON cannot hold") from None
    _check_text(params, "params")
    return params


def _check_text(value: Any, place: str) -> None:
    """Names and texts end on terminals and in pictures: no control characters in them."""
    if isinstance(value, str) and not "".join(value.split()).isprintable():
        raise SpecError(place, f"{value!a:.60} contains a character that cannot be printed")
    if isinstance(value, list):
        for part in value:
            _check_text(part, place)
    elif isinstance(value, dict):
        for name, part in value.items():
            _check_text(name, place)
            _check_text(part, place)


def _validated(kind: type[_Part], values: Any, place: str = "") -> _Part:
    """The pydantic model, its first complaint as a SpecError."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(part for part in (place, *map(str, first["loc"])) if part)
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise SpecError(where, f"{first['input']!r:.60}: {message}") from None
