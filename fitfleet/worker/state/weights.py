"""From a weights file alone: the compiled Keras model, and exports of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fitfleet.errors import MissingExtraError, SpecError, StorageError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.storage import SUFFIX, read_document

_SUFFIXES = (".keras", ".h5", ".json")


def load_model(path: Path, settings: Settings) -> Any:
    """The fitted model, compiled, its optimizer's state restored.

    StorageError if the file cannot be read, MissingExtraError without TensorFlow.
    """
    try:
        from fitfleet.worker.build import build
    except ModuleNotFoundError:
        raise MissingExtraError("tensorflow", "worker") from None
    try:
        import keras  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtraError("keras", "worker") from None
    spec = JobSpec.from_canonical(read_document(path)["spec"])
    model = build(spec, settings)
    # Without its variables the optimizer would be left out of the loading, with a warning.
    model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error
    return model


def export(source: Path, target: Path, settings: Settings) -> Path:
    """Write `.keras`, `.h5` (Keras's older whole-model file), `.json` or `.weights.h5`.

    SpecError for another suffix, StorageError if the file cannot be written.
    """
    if target.suffix not in _SUFFIXES:
        raise SpecError("export", f"{target.name!r} does not end in one of {', '.join(_SUFFIXES)}")
    model = load_model(source, settings)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.name.endswith(SUFFIX):
            model.save_weights(target)
        elif target.suffix == ".json":
            target.write_text(json.dumps(json.loads(model.to_json()), indent=2))
        else:
            model.save(target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error}") from error
    return target
