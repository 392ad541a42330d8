"""Hashes by which jobs are equal, repeats of one configuration, or trained by one program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from fitfleet.spec import tunable_scalars
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.json_text import canonical_json
from fitfleet.spec.keras_objects.object_documents import is_custom

_SEED = "\0seed"  # a placeholder; no text of a specification contains NUL


def content_hash(spec: JobSpec, fingerprint: str | None) -> str:
    """Hash of all that decides the numbers of a job: spec, content of the dataset, seed."""
    return _hash(_document(spec, fingerprint))


def content_hash_of_seeds(spec: JobSpec, fingerprint: str | None) -> Callable[[int], str]:
    """A function from a seed to the `content_hash` of the specification with that seed."""
    document = _document(spec, fingerprint)
    document["seed"] = _SEED
    before, _, after = canonical_json(document).partition(json.dumps(_SEED))
    prefix_hash = hashlib.sha256(before.encode())

    def of(seed: int) -> str:
        digest = prefix_hash.copy()
        digest.update(f"{seed}{after}".encode())
        return digest.hexdigest()

    return of


def group_hash(spec: JobSpec, fingerprint: str | None) -> str:
    """The same for jobs that differ in seed and fold only."""
    document = _document(spec, fingerprint)
    del document["seed"]
    document["dataset"]["fold"] = _foldless(document["dataset"]["fold"])
    return _hash(document)


def _has_one_content(spec: JobSpec) -> bool:
    """Whether data that are not read at submit are the same for all jobs with this dataset.

    They are if the code of the function that returns them is part of the job: the first worker that
    calls it stores the rows, and all others read these.
    """
    return spec.dataset.function is not None and spec.code is not None


def _foldless(fold: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if fold is None else {k: v for k, v in fold.items() if k not in ("index", "seed")}


def fuse_key(spec: JobSpec, fingerprint: str | None, options: JobOptions) -> str | None:
    """The same for jobs that one traced program can train; None for a job that shares none.

    Seeds, the constant learning rate, dropout rates, regularization factors, callbacks and the
    number of epochs may differ. A model with custom classes, with states between batches, or
    of a builder is trained alone, and tasks without a fit run alone.
    """
    if spec.task is not None:
        return None
    if spec.model.builder is not None or has_custom(spec):
        return None
    if fingerprint is None and not _has_one_content(spec):
        return None
    if _is_stateful(spec.model.config):
        return None
    start = spec.initial_weights
    if start is not None and start.of_job and not start.continues:
        return None  # each starts when the job that it continues has ended
    document = _document(spec, fingerprint)
    if start is not None and start.continues:  # the fit resumes, by any program
        del document["initial_weights"]
    for name in ("seed", "epochs", "evaluators", "callbacks"):
        del document[name]
    document["model"]["config"], _ = tunable_scalars.separated(spec)
    config = document["optimizer"].setdefault("config", {})
    if not isinstance(config.get("learning_rate"), dict):  # a schedule is part of the program
        config["learning_rate"] = None
    for name in ("stop_after", "initial_epoch"):
        document.pop(name, None)
    document["fuse"] = options.fuse
    return _hash(document)


# Fields that were added later, and the value that is equivalent to their absence.
_LATER = {
    **dict.fromkeys(("initial_weights", "freeze", "adapt", "code", "task", "stop_after")),
    **dict.fromkeys(("steps_per_epoch", "validation_steps")),
    "validation_freq": 1,
    "initial_epoch": 0,
}


def _document(spec: JobSpec, fingerprint: str | None) -> dict[str, Any]:
    document: dict[str, Any] = spec.model_dump(mode="json")
    document["dataset"]["nan"] = "warn"  # whether to warn of NaN changes no number
    for name in _LATER:  # the hashes of jobs from before these fields stay
        if document[name] in (None, [], _LATER[name]):
            del document[name]
    if "task" in document:
        document["task"] = _weights_alone(document["task"])
    builder = document["model"]["builder"]
    if builder is not None and builder["hyperparameters"] is None:
        del builder["hyperparameters"]
    if "initial_weights" in document:
        start = document["initial_weights"]
        del start["sha256" if start["of_job"] else "of_job"]
        if not start["initial_epoch"]:
            del start["initial_epoch"]
    table: dict[str, Any] = {
        "delimiter": None,
        "decimal": ".",
        "missing": [],
        "categories": {},
        "function": None,
    }
    for name, default in {**table, "texts": []}.items():
        if document["dataset"][name] == default:
            del document["dataset"][name]
    if document["dataset"]["windows"] and not document["dataset"]["windows"]["series"]:
        del document["dataset"]["windows"]["series"]
    if fingerprint is not None:
        document["dataset"]["path"] = fingerprint
        document["dataset"]["files"] = sorted(document["dataset"]["files"])
    return document


def _weights_alone(task: dict[str, Any]) -> dict[str, Any]:
    """A task without job ids: equal weights give equal numbers."""
    members = [{k: v for k, v in member.items() if k != "job"} for member in task["members"]]
    rest = {k: v for k, v in task.items() if k not in ("job", "members")}
    return {**rest, "members": members} if members else rest


def has_custom(spec: JobSpec) -> bool:
    """Whether a custom class or function is in the model, losses, metrics, ..."""
    pending: list[Any] = [spec.model.config, spec.loss, spec.metrics, spec.weighted_metrics]
    pending += [spec.optimizer, spec.callbacks]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "class_name" in value and is_custom(value):
                return True
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return False


def _is_stateful(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("stateful") is True or any(map(_is_stateful, value.values()))
    return isinstance(value, list) and any(map(_is_stateful, value))


def _hash(document: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
