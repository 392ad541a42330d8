"""The user's callbacks out of a spec."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.callback_file_names import ARGUMENTS
from fitfleet.spec.keras_objects.object_documents import is_custom
from fitfleet.worker.callbacks.tensorboard import TensorBoard, with_own_files
from fitfleet.worker.callbacks.written_files import ModelCheckpoint, WrittenFiles
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.user_code import imports


def user_callbacks(
    spec: JobSpec, settings: Settings, files: WrittenFiles | None = None
) -> list[Any]:
    """New callbacks of the spec, which write files where `files` says.

    Raises SpecError for what Keras refuses, and for what is neither on our own list nor of a
    trusted module.
    """
    return [_callback(document, settings, files) for document in spec.callbacks]


def stops_on_nan(spec: JobSpec) -> bool:
    """Whether an epoch ends with the first batch whose loss is not finite."""
    return any(c["class_name"] == "TerminateOnNaN" for c in spec.callbacks)


def _callback(document: dict[str, Any], settings: Settings, files: WrittenFiles | None) -> Any:
    config = copy.deepcopy(document.get("config") or {})
    name = document["class_name"]
    kind: Callable[..., Any]
    if is_custom(document):
        kind = with_own_files(
            imports.function(f"{document['module']}:{name}", settings, "callbacks")
        )
    elif name in catalog.class_names("callbacks"):
        replaced = {"ModelCheckpoint": ModelCheckpoint, "TensorBoard": TensorBoard}
        kind = replaced.get(name) or getattr(keras.callbacks, name)
    else:  # Keras has others, which write anywhere and call URLs
        raise SpecError("callbacks", f"{name!r:.60} is not a known callback")
    if name == "LearningRateScheduler" and not is_custom(document):
        config["schedule"] = _schedule(config["schedule"], settings)
    if name in ARGUMENTS and files is None and not is_custom(document):
        raise SpecError("callbacks", f"{name} is not a known callback where no files are kept")
    try:
        callback = kind(**{name: _argument(part, settings) for name, part in config.items()})
    except (TypeError, ValueError) as error:
        raise SpecError("callbacks", f"{name}: {explanation(error)}") from error
    if files is not None:
        files.place(callback)
    return callback


def _argument(document: Any, settings: Settings) -> Any:
    """The arrays, functions and Keras objects in an argument of a callback, as what they are."""
    if isinstance(document, list):
        return [_argument(part, settings) for part in document]
    if not isinstance(document, dict):
        return document
    if document.get("class_name") == "function" and is_custom(document):
        return _function(document, settings)
    if "class_name" in document:
        return keras.saving.deserialize_keras_object(document)
    return {name: _argument(part, settings) for name, part in document.items()}


def _function(document: dict[str, Any], settings: Settings) -> Callable[..., Any]:
    name = str(document["config"]).rpartition(">")[2]
    return imports.function(f"{document['module']}:{name}", settings, "callbacks")


def _schedule(document: dict[str, Any], settings: Settings) -> Callable[..., float]:
    if is_custom(document) and document["class_name"] == "function":
        return _function(document, settings)
    schedule = keras.optimizers.schedules.deserialize(document)
    # Keras wants a Python float, a schedule object gives a tensor.
    return lambda epoch, rate=None: float(schedule(epoch))


class OnBatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Calls a function between batches; it may raise."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self.act = act

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """While training."""
        self.act()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """While evaluating."""
        self.act()

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """While predicting."""
        self.act()
