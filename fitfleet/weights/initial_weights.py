"""Where a job starts: its weights from a Keras object, a file or another job, kept by content."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import limits
from fitfleet.spec.job import InitialWeights
from fitfleet.spec.keras_objects.trained_weights import (
    changed_weight,
    has_optimizer_state,
    weights_without_initializer,
)
from fitfleet.spec.parts.model import model_document, opened_model
from fitfleet.storage import SUFFIX
from fitfleet.text import with_article
from fitfleet.weights.stored_weights import keep

Match = Literal["all", "names"]
# What a job that starts from another takes over from it where nothing else is said.
_COMPILED = (
    "optimizer",
    "loss",
    "loss_weights",
    "metrics",
    "weighted_metrics",
    "jit_compile",
    "dtype_policy",
)
_OWN_START = ("initial_weights", "init_from")
_SUFFIXES = (SUFFIX, ".keras", ".h5")


class Starting:
    """Turns the arguments of a submit into such that stand for their weights by content."""

    def __init__(self, settings: Settings, *, is_scripted: bool = False) -> None:
        """`is_scripted`: as in `spec.model.model_spec`."""
        self._settings = settings
        self._is_scripted = is_scripted
        # The object is held, so that its id stays its own.
        self._objects: dict[int, tuple[Any, Any, InitialWeights | None]] = {}

    def of_sweep(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As `resolved`, all in JSON; builders are left alone, each point has its own."""
        arguments = self.resolved(given, calls_builders=False)
        if arguments.pop("starts_from", None) is not None:
            raise SpecError("init_from", "that job has not ended; wait for it before the sweep")
        weights = arguments.get("initial_weights")
        if isinstance(weights, InitialWeights):
            arguments["initial_weights"] = weights.model_dump()
        return arguments

    def resolved(self, given: Mapping[str, Any], *, calls_builders: bool = True) -> dict[str, Any]:
        """The arguments with `initial_weights` as a spec has it, and the model as a document.

        `starts_from` is the number of a job that has not ended and whose weights are wanted.
        SpecError for what is no weights, StorageError where the storage refuses them.
        """
        arguments = dict(given)
        model = arguments.get("model")
        if _is_job(model):
            arguments = self._of_job(model, arguments)
        elif isinstance(model, str | os.PathLike) and os.fspath(model).endswith(".keras"):
            arguments["model"] = _archived_config(Path(model))
            arguments.setdefault("initial_weights", model)
        elif model is not None and (calls_builders or hasattr(model, "_flatten_layers")):
            arguments = self._of_model(model, arguments)
        return self._weights(arguments)

    def _of_job(self, job: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        spec = job.spec
        kept = {name: getattr(spec, name) for name in _COMPILED if arguments.get(name) is None}
        builder = spec.model.builder
        model = spec.model.config if builder is None else builder.model_dump()
        arguments = {**arguments, **kept, "model": model}
        arguments["freeze"] = [*spec.freeze, *_patterns(arguments.get("freeze"))]
        if arguments.get("adapt") is None:
            arguments["adapt"] = spec.adapt
        if all(arguments.get(name) is None for name in _OWN_START):
            arguments["initial_weights"] = job
        return arguments

    def _of_model(self, model: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        opened = opened_model(model, self._settings, is_scripted=self._is_scripted)
        if not hasattr(opened, "_flatten_layers"):
            return {**arguments, "model": opened}
        if id(opened) not in self._objects:
            self._objects[id(opened)] = (opened, *self._of_object(opened))
        _, document, start = self._objects[id(opened)]
        arguments["model"] = document
        if start is None or any(arguments.get(name) is not None for name in _OWN_START):
            return arguments
        is_own_optimizer = arguments.get("optimizer") is None
        has_optimizer = start.optimizer and is_own_optimizer
        return {
            **arguments,
            "initial_weights": start.model_copy(update={"optimizer": has_optimizer}),
        }

    def _of_object(self, model: Any) -> tuple[Any, InitialWeights | None]:
        if changed_weight(model) is None:
            return json.loads(model_document(model)), None
        unknown = weights_without_initializer(model)
        if unknown is not None:
            warnings.warn(
                f"model: nothing tells whether {unknown} was trained or set, since its layer keeps"
                " no initialiser for it; the job starts from the object's weights, whatever its"
                " seed; keep one as an attribute (self.kernel_initializer = ...), or give a"
                " function that makes the model, model=ff.builder(make_model)",
                stacklevel=7,
            )
        document = json.loads(model_document(model, with_matrices=False))
        with TemporaryDirectory() as folder:
            path = Path(folder) / f"object{SUFFIX}"
            model.save_weights(path)
            kept = keep(path, self._settings, with_optimizer=has_optimizer_state(model))
        return document, kept

    def _weights(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """`initial_weights` and `init_from`, whatever they are, as a spec has them."""
        whole, by_name = arguments.get("initial_weights"), arguments.pop("init_from", None)
        if whole is not None and by_name is not None:
            raise SpecError("init_from", "initial_weights is given as well; give one of the two")
        if by_name is not None:
            arguments["initial_weights"] = self._kept(by_name, "init_from", "names")
        elif whole is not None:
            arguments["initial_weights"] = self._kept(whole, "initial_weights", "all")
        start, job = arguments.get("initial_weights"), whole if by_name is None else by_name
        if isinstance(start, InitialWeights) and start.of_job and job is not None and _is_job(job):
            arguments["starts_from"] = job.id
        if arguments.get("freeze") is not None:
            arguments["freeze"] = _patterns(arguments["freeze"])
        return arguments

    def _kept(self, value: Any, place: str, match: Match) -> Any:
        if isinstance(value, InitialWeights | dict):
            return value  # of a stored sweep or an object
        if _is_job(value):
            if not value.status.is_terminal:
                return InitialWeights(of_job=value.row.content_hash, match=match)
            return keep(value.weights_path, self._settings, match=match)
        if isinstance(value, str | os.PathLike):
            path = Path(value)
            if not path.name.endswith(_SUFFIXES):
                raise SpecError(
                    place, f"{str(path)!r} does not end in one of {', '.join(_SUFFIXES)}"
                )
            if not path.is_file():
                raise SpecError(place, f"{str(path)!r} does not exist, or is not a file")
            kept = keep(path, self._settings, match=match)
            if kept.form == "legacy" and match == "names":
                raise SpecError(
                    place,
                    f"{str(path)!r} is Keras's older .h5, whose layers are taken in order only;"
                    " give it as initial_weights, or save the model as .keras",
                )
            return kept
        raise SpecError(
            place,
            f"{with_article(type(value).__name__)} is neither a job nor the path of a weights file"
            f" ({', '.join(_SUFFIXES)})",
        )


def _is_job(value: Any) -> bool:
    # Of the class: a job that has not ended has no path yet.
    return hasattr(type(value), "weights_path") and hasattr(type(value), "spec")


def _patterns(value: Any) -> list[str]:
    if value is None:
        return []
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple) or not all(
        isinstance(pattern, str) for pattern in patterns
    ):
        raise SpecError("freeze", f"{value!r:.60} is neither a name of layers nor a list of them")
    return list(patterns)


def _archived_config(path: Path) -> Any:
    """The config in a `.keras` file, checked like any other model."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("config.json").file_size
            if size > limits.MAX_BYTES:
                raise SpecError(
                    "model",
                    f"the config in {path} has {size:,} bytes; at most {limits.MAX_BYTES:,} are"
                    " allowed",
                )
            document = json.loads(archive.read("config.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise SpecError("model", f"{str(path)!r} is not a .keras file: {error}") from None
    _renumber(document, {})
    return document


def _renumber(value: Any, numbers: dict[Any, int]) -> None:
    """Memory addresses, by which Keras identifies shared objects, as counted numbers."""
    if isinstance(value, dict):
        if "shared_object_id" in value:
            known = json.dumps(value["shared_object_id"])
            value["shared_object_id"] = numbers.setdefault(known, len(numbers))
        for part in value.values():
            _renumber(part, numbers)
    elif isinstance(value, list):
        for part in value:
            _renumber(part, numbers)
