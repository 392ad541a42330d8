"""The whole state of a fit at the end of an epoch, in one HDF5 file: write, read, restore.

A Keras weights file (weights and optimizer) that also has a group of fitfleet's: RNN states, the
callbacks' state and best weights, and the history. Restored, the fit resumes bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fitfleet.errors import StorageError
from fitfleet.settings import Settings
from fitfleet.spec.adapted_layers import States
from fitfleet.storage import JOB_GROUP, write_document
from fitfleet.weights.files import opened, read_document
from fitfleet.worker.state import tensorflow_variables
from fitfleet.worker.state.build_variables import build_from, rate_variable
from fitfleet.worker.state.rnn_states import rnn_states

# The attributes that Keras's callbacks change while they run.
_CALLBACK_STATE = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best",),
    "TensorBoard": ("_global_train_batch", "_global_test_batch"),
}


@dataclass(frozen=True)
class EpochLogs:
    """Keras's logs after one epoch. `epoch` counts from 0, as Keras does."""

    epoch: int
    logs: dict[str, float]


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint, ready to be restored. `epoch` epochs are contained in it."""

    path: Path
    epoch: int
    has_stopped: bool
    history: list[EpochLogs]
    callbacks: list[dict[str, Any]]
    best: list[list[Any] | None] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)  # that it was trained in
    inputs: dict[str, Any] | None = None  # what a training step is given, see `build_variables`
    batch_size: int | None = None  # smaller than the spec's after the job ran out of memory
    adapted: States = field(default_factory=dict)  # of preprocessing layers
    fingerprint: str = ""  # of the dataset; empty in files of older versions
    trained_s: float = 0.0  # seconds that the epochs contained in it took
    # Whether it is the end of another job, which this one continues with its own learning rate.
    is_of_parent: bool = False


class _Document(BaseModel):
    """What a checkpoint's JSON holds, beside what only `weights` reads."""

    epoch: int
    has_stopped: bool
    history: list[tuple[int, dict[str, float]]]
    callbacks: list[dict[str, Any]]
    environment: dict[str, Any] = {}
    inputs: dict[str, Any] | None = None
    batch_size: int | None = None
    adapted: States = {}
    fingerprint: str = ""
    trained_s: float = 0.0


def write(
    path: Path,
    model: Any,
    *,
    epoch: int,
    has_stopped: bool,
    history: Sequence[EpochLogs],
    callbacks: Sequence[Any],
    more: dict[str, Any],
    add: Callable[[Any], None] = lambda file: None,
) -> None:
    """Write the state of a compiled model after `epoch` epochs; then the file is whole.

    `add` puts more into the open `h5py.File`. It is not synced yet. OSError, when the disk refuses
    it, is the caller's.
    """
    import keras

    from fitfleet.worker.state.weights_template import weights_file

    document = {
        "epoch": epoch,
        "has_stopped": has_stopped,
        "history": [[entry.epoch, entry.logs] for entry in history],
        "callbacks": [_callback_state(callback) for callback in callbacks],
        **more,
    }
    with weights_file(path, model) as file:
        write_document(file, document)
        group = file[JOB_GROUP]
        for index, variable in enumerate(rnn_states(model)):
            group.create_dataset(f"rnn/{index}", data=keras.ops.convert_to_numpy(variable))
        tensorflow_variables.write(model, group)
        for index, callback in enumerate(callbacks):
            for number, array in enumerate(getattr(callback, "best_weights", None) or []):
                group.create_dataset(f"best/{index}/{number:05d}", data=array)
        add(file)


def read(path: Path, settings: Settings) -> Snapshot:
    """The checkpoint in a file. StorageError if it cannot be read."""
    try:
        document = _Document.model_validate(read_document(path, settings))
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise StorageError(f"{path}: is not a checkpoint: {at}: {first['msg']}") from None
    best: list[list[Any] | None] = []
    with opened(path, settings) as file:
        for index in range(len(document.callbacks)):
            group = file.get(f"{JOB_GROUP}/best/{index}")
            best.append([group[key][()] for key in sorted(group)] if group is not None else None)
    history = [EpochLogs(epoch, logs) for epoch, logs in document.history]
    return Snapshot(
        path,
        document.epoch,
        document.has_stopped,
        history,
        document.callbacks,
        best,
        environment=document.environment,
        batch_size=document.batch_size,
        inputs=document.inputs,
        adapted=document.adapted,
        fingerprint=document.fingerprint,
        trained_s=document.trained_s,
    )


def end_of(path: Path, epoch: int, settings: Settings) -> Snapshot:
    """The end of a fit, for another job that continues it from that epoch with a fit of its own.

    Its callbacks begin anew, and its history, data and learning rate are its own. StorageError.
    """
    parent = read(path, settings)
    return Snapshot(
        path,
        epoch,
        has_stopped=False,
        history=[],
        callbacks=[],
        environment=parent.environment,
        inputs=parent.inputs,
        adapted=parent.adapted,
        is_of_parent=True,
    )


def restore(model: Any, snapshot: Snapshot) -> None:
    """Put weights, optimizer and RNN states into a compiled model.

    A model that continues the fit of another job keeps the learning rates that it has.
    """
    import h5py

    from fitfleet.worker.state.initial_weights import load_state

    # Without its variables the optimizer would be left out of the loading, with a warning.
    build_from(model, snapshot.inputs)
    rates = [(rate, rate.numpy()) for rate in _rates(model) if snapshot.is_of_parent]
    try:
        load_state(model, snapshot.path, "checkpoint")
        with h5py.File(snapshot.path, "r") as file:
            tensorflow_variables.restore(model, file[JOB_GROUP])
            group = file[JOB_GROUP].get("rnn")
            for index, variable in enumerate(rnn_states(model) if group is not None else ()):
                variable.assign(group[str(index)][()])
    except OSError as error:
        raise StorageError(f"{snapshot.path}: cannot be read: {error}") from error
    for variable, value in rates:
        variable.assign(value)


def _rates(model: Any) -> list[Any]:
    """The learning rates of the model's optimizers, one each, where they are no schedules."""
    import keras

    optimizers = [v for v in vars(model).values() if isinstance(v, keras.optimizers.Optimizer)]
    variables = {id(rate): rate for rate in map(rate_variable, optimizers) if rate is not None}
    return list(variables.values())


def restore_callbacks(callbacks: Sequence[Any], snapshot: Snapshot) -> None:
    """Put back the callbacks' state; to be called after their `on_train_begin`, which resets it."""
    if snapshot.is_of_parent:
        return
    for callback, state, best in zip(callbacks, snapshot.callbacks, snapshot.best, strict=True):
        for name in _state_names(callback):
            value = state.get(name)
            if name in state and (value is None or isinstance(value, int | float)):
                setattr(callback, name, value)
        if best is not None and hasattr(callback, "best_weights"):
            callback.best_weights = best


def _callback_state(callback: Any) -> dict[str, Any]:
    return {name: _plain(getattr(callback, name, None)) for name in _state_names(callback)}


def _state_names(callback: Any) -> tuple[str, ...]:
    """Of a class of the user's those of the class of Keras that it is derived from."""
    classes = (kind.__name__ for kind in type(callback).__mro__)
    return next((_CALLBACK_STATE[name] for name in classes if name in _CALLBACK_STATE), ())


def _plain(value: Any) -> Any:
    """A number as JSON has it; counters stay whole."""
    if value is None or isinstance(value, int):
        return value
    return float(value)
