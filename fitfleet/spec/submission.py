"""From the keywords that a user gives to a JobSpec and JobOptions in canonical form."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import catalog
from fitfleet.spec import compile as compile_parts
from fitfleet.spec.callbacks import callbacks
from fitfleet.spec.dataset import dataset_spec
from fitfleet.spec.job import Evaluator, JobOptions, JobSpec
from fitfleet.spec.model import model_spec
from fitfleet.spec.reference import to_document

_Part = TypeVar("_Part", bound=BaseModel)
_MAX_STEPS_PER_EXECUTION = 1000


def job_spec(settings: Settings, *, model: Any, dataset: Any, **given: Any) -> JobSpec:
    """All that decides a fit's numbers, from the keywords of `Fleet.submit`.

    What a compiled Keras object says is taken where the keyword is not given.
    Raises SpecError or DatasetError.
    """
    for name in given:
        if name not in JobSpec.model_fields:
            known = [*JobSpec.model_fields, *JobOptions.model_fields]
            raise SpecError(name, f"no such argument; {catalog.nearest(name, known)}")
    found, compiled = model_spec(model, settings)
    values = {**compiled, **{k: v for k, v in given.items() if v is not None}}
    values["optimizer"] = compile_parts.optimizer(values.get("optimizer"))
    values["loss"] = compile_parts.losses(values.get("loss"))
    for name in ("metrics", "weighted_metrics"):
        values[name] = compile_parts.metrics(values.get(name), name)
    values["callbacks"] = callbacks(values.get("callbacks"))
    values["evaluators"] = [_evaluator(v, i) for i, v in enumerate(values.get("evaluators") or [])]
    if values.get("class_weight") is not None:
        values["class_weight"] = {str(k): float(v) for k, v in values["class_weight"].items()}
    for name in ("batch_size", "epochs", "seed", "loss_weights"):
        if name in values:
            values[name] = to_document(values[name], name)
    spec = _made(JobSpec, {**values, "model": found, "dataset": dataset_spec(dataset)})
    _check(spec)
    return spec


def job_options(settings: Settings, **given: Any) -> JobOptions:
    """Where, when and how often a job runs. Raises SpecError."""
    for name in given:
        if name not in JobOptions.model_fields:
            raise SpecError(
                name, f"no such argument; {catalog.nearest(name, JobOptions.model_fields)}"
            )
    values = {k: v for k, v in given.items() if v is not None}
    values["params"] = to_document(values.get("params") or {}, "params")
    options = _made(JobOptions, values)
    if not options.experiment or len(options.experiment) > 128:
        raise SpecError(
            "experiment", f"{options.experiment!r} is not a name of 1 to 128 characters"
        )
    for name in ("timeout_s", "stall_timeout_s"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise SpecError(name, f"{value!r} is not a positive number of seconds")
    return options


def _evaluator(value: Any, index: int) -> Evaluator:
    if isinstance(value, str):
        value = {"path": value}
    if isinstance(value, Evaluator):
        return value
    found = _made(Evaluator, value, f"evaluators[{index}]")
    module, _, function = found.path.partition(":")
    if not module or not function.isidentifier():
        raise SpecError(
            f"evaluators[{index}]", f"{found.path!r} is not of the form module:function"
        )
    return found


def _made(kind: type[_Part], values: Any, place: str = "") -> _Part:
    """The pydantic model, its first complaint as a SpecError."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(part for part in (place, *map(str, first["loc"])) if part)
        raise SpecError(where, f"{first['input']!r:.80}: {first['msg'].lower()}") from None


def _check(spec: JobSpec) -> None:
    for name in ("batch_size", "epochs", "validation_batch_size", "gradient_accumulation_steps"):
        value = getattr(spec, name)
        if value is not None and value < 1:
            raise SpecError(name, f"{value} is not a positive integer")
    if not 0 <= spec.validation_split < 1:
        raise SpecError(
            "validation_split", f"{spec.validation_split} is not a fraction from 0 to below 1"
        )
    if not 1 <= spec.steps_per_execution <= _MAX_STEPS_PER_EXECUTION:
        raise SpecError(
            "steps_per_execution",
            f"{spec.steps_per_execution} is not within 1 to {_MAX_STEPS_PER_EXECUTION}",
        )
    if not 0 <= spec.seed < 2**63:
        raise SpecError("seed", f"{spec.seed} is not within 0 to 2**63 - 1")
    if spec.validation_split and spec.dataset.x_val is not None:
        raise SpecError("validation_split", "the dataset has x_val already; give one of the two")
