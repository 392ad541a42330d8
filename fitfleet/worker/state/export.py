"""Models as files of Keras's own formats, each read again before it gets its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from fitfleet.errors import FitfleetError, SpecError
from fitfleet.objects.draft import whole
from fitfleet.settings import Settings
from fitfleet.storage import SUFFIX
from fitfleet.weights.stored_weights import copy_weights
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.state.conversion import save_for_lite, save_for_onnx
from fitfleet.worker.state.weights import load_model

FORMS = (
    ".keras",
    ".h5",
    SUFFIX,
    ".json",
    ".tflite",
    ".onnx",
    "a folder without a suffix (SavedModel)",
)


def export(source: Path, target: Path, settings: Settings, digest: str | None = None) -> Path:
    """Write `.keras`, `.h5` (Keras's older whole-model file), `.weights.h5`, `.json`, `.tflite`,
    `.onnx`, or a folder with TensorFlow's SavedModel.

    The file is read again, and has the same weights or computes the same outputs, before it gets
    its name. MissingExtraError for `.onnx` without its converter, SpecError for
    another suffix and for a model that the format cannot hold, StorageError if the file cannot be
    written.
    """
    write = _writer(target)
    if write is None:
        return _drafted(target, lambda draft: copy_weights(source, draft, settings, digest))
    return _drafted(target, lambda draft: write(load_model(source, settings, digest), draft))


def export_model(model: Any, target: Path) -> Path:
    """The same of a model at hand."""
    write = _writer(target) or (lambda model, draft: model.save_weights(draft))
    return _drafted(target, lambda draft: write(model, draft))


def _drafted(target: Path, write: Callable[[Path], None]) -> Path:
    with whole(target) as draft:
        write(draft)
    return target


def _writer(target: Path) -> Callable[[Any, Path], None] | None:
    """None: the weights alone, for which no model is needed."""
    if target.name.endswith(SUFFIX):
        return None
    writers = {
        ".keras": _save,
        ".h5": _save,
        ".json": _describe,
        ".tflite": _converter(save_for_lite),
        ".onnx": _converter(save_for_onnx),
        "": _save_for_serving,
    }
    if target.suffix not in writers:
        raise SpecError("export", f"{target.name!r} does not end in one of {', '.join(FORMS)}")
    return writers[target.suffix]


def _save(model: Any, path: Path) -> None:
    def write() -> None:
        _name_loss_scaling(model)
        model.save(path)
        again = keras.saving.load_model(path, custom_objects=_own_classes(model))
        # The older format has no place for the state of some optimizers.
        is_whole = path.suffix != ".keras" or _is_near(model.optimizer, again.optimizer)
        if not is_whole or not _has_same(model.weights, again.weights):
            raise ValueError("the weights read from the file differ from those written")

    _held(model, path, write)


def _describe(model: Any, path: Path) -> None:
    def write() -> None:
        text = model.to_json()
        keras.models.model_from_json(text, custom_objects=_own_classes(model))
        path.write_text(json.dumps(json.loads(text), indent=2))

    _held(model, path, write)


def _save_for_serving(model: Any, path: Path) -> None:
    _held(model, path, lambda: model.export(path, verbose=False))


def _converter(save: Callable[[Any, Path], None]) -> Callable[[Any, Path], None]:
    def write(model: Any, path: Path) -> None:
        # Keras looks at the suffix, and the draft's own name has it.
        _held(model, path, lambda: save(model, path))

    return write


def _held(model: Any, path: Path, write: Callable[[], None]) -> None:
    """SpecError for whatever Keras raises while it writes or reads a model that it cannot hold."""
    try:
        write()
    except (OSError, FitfleetError):
        raise
    except Exception as error:  # Keras raises many kinds, from inside its layers too
        name = f"{path.suffix or 'SavedModel'} file"
        other = f"{SUFFIX} for a model that you build"
        other = other if path.suffix == ".keras" else f".keras, or as {other}"
        raise SpecError(
            "export",
            f"a {name} cannot hold this {type(model).__name__} model: {_cause(error)}; export it as"
            f" {other}",
        ) from error


def _cause(error: BaseException) -> str:
    """What went wrong, without the configs that Keras puts before it."""
    text = str(error).rpartition("Error encountered during deserialization: ")[2]
    return (text if text != str(error) else explanation(error)).strip().rstrip(".")


def _own_classes(model: Any) -> dict[str, Any]:
    """The user's classes in a model, by name; those of Keras it finds itself."""
    kinds = [type(part) for part in (model, *model._flatten_layers())]
    return {kind.__name__: kind for kind in kinds if kind.__module__.split(".")[0] != "keras"}


def _name_loss_scaling(model: Any) -> None:
    """Keras writes what `compile` was given, and scales the loss by a global policy at loading."""
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        model._compile_config.config["optimizer"] = model.optimizer


def _has_same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(
        a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy(), equal_nan=_is_float(a))
        for a, b in zip(left, right, strict=True)
    )


def _is_near(optimizer: Any, again: Any) -> bool:
    """Equal but for the dtype of the learning rate, which follows Keras's global float type."""
    left, right = optimizer.variables, again.variables
    return len(left) == len(right) and all(
        np.allclose(a.numpy().astype("float64"), b.numpy().astype("float64"), equal_nan=True)
        for a, b in zip(left, right, strict=True)
    )


def _is_float(variable: Any) -> bool:
    return "float" in str(variable.dtype) and variable.dtype != "bfloat16"
