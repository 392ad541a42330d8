"""The user's callbacks out of a spec, and the two that hold an epoch together."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec import catalog
from fitfleet.spec.job import JobSpec
from fitfleet.spec.reference import is_custom
from fitfleet.worker import trusted
from fitfleet.worker.engines.engine import Hooks, Member
from fitfleet.worker.order import seed_state, seed_variables
from fitfleet.worker.recording.explanation import explanation
from fitfleet.worker.state import checkpoint


def user_callbacks(spec: JobSpec, settings: Settings) -> list[Any]:
    """New callbacks of the spec. Raises SpecError for what Keras refuses, and for what is neither
    on our own list nor of a trusted module.
    """
    return [_callback(document, settings) for document in spec.callbacks]


def _callback(document: dict[str, Any], settings: Settings) -> Any:
    config = copy.deepcopy(document.get("config") or {})
    name = document["class_name"]
    kind: Callable[..., Any]
    if is_custom(document):
        kind = trusted.function(f"{document['module']}:{name}", settings, "callbacks")
    elif name in catalog.class_names("callbacks"):
        kind = getattr(keras.callbacks, name)
    else:  # Keras has others, which write files and call URLs
        raise SpecError("callbacks", f"{name!r:.60} is not an allowed callback")
    if name == "LearningRateScheduler" and not is_custom(document):
        config["schedule"] = _schedule(config["schedule"], settings)
    try:
        return kind(**config)
    except (TypeError, ValueError) as error:
        raise SpecError("callbacks", f"{name}: {explanation(error)}") from error


def _schedule(document: dict[str, Any], settings: Settings) -> Callable[..., float]:
    if is_custom(document) and document["class_name"] == "function":
        name = str(document["config"]).rpartition(">")[2]
        return trusted.function(f"{document['module']}:{name}", settings, "callbacks")
    schedule = keras.optimizers.schedules.deserialize(document)
    # Keras wants a Python float, a schedule object gives a tensor.
    return lambda epoch, rate=None: float(schedule(epoch))


class EpochStart(keras.callbacks.Callback):  # type: ignore[misc]
    """First of all callbacks: makes an epoch a function of (job seed, epoch) alone."""

    def __init__(self, member: Member, hooks: Hooks) -> None:
        super().__init__()
        self._member, self._hooks = member, hooks
        self._states: list[Any] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set every SeedGenerator, forget the RNN states."""
        start_epoch(self.model, self._member.spec, epoch)
        self._hooks.epoch_begin(self._member, epoch)

    def on_test_begin(self, logs: Any = None) -> None:
        """Validation begins with RNN states of its own."""
        self._states = [state.numpy() for state in checkpoint.rnn_states(self.model)]
        forget_states(self.model)

    def on_test_end(self, logs: Any = None) -> None:
        """Training goes on with the states it had."""
        for state, value in zip(checkpoint.rnn_states(self.model), self._states, strict=True):
            state.assign(value)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Cancel, drain and a lost lease act between batches."""
        self._hooks.batch_end(self._member)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Also while validating."""
        self._hooks.batch_end(self._member)


class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Last of all callbacks: records and checkpoints what the others have left behind."""

    def __init__(self, member: Member, hooks: Hooks) -> None:
        super().__init__()
        self._member, self._hooks = member, hooks

    def on_train_begin(self, logs: Any = None) -> None:
        """The others have reset themselves by now."""
        if self._member.snapshot is not None:
            checkpoint.restore_callbacks(self._member.callbacks, self._member.snapshot)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Hand the epoch to the hooks."""
        found = {name: float(value) for name, value in (logs or {}).items()}
        if self._hooks.epoch_end(self._member, epoch, found, ModelState(self.model)):
            self.model.stop_training = True


class ModelState:
    """A MemberState whose variables are those of a Keras model."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def has_stopped(self) -> bool:
        """Whether a callback asked to end the fit."""
        return bool(self._model.stop_training)

    def model(self) -> Any:
        """The model itself."""
        return self._model


def start_epoch(model: Any, spec: JobSpec, epoch: int) -> None:
    """What an engine does to a model before an epoch; `epoch` counts from 0."""
    for index, variable in enumerate(seed_variables(model)):
        variable.assign(seed_state(spec.seed, index, epoch))
    if spec.reset_states == "epoch":
        forget_states(model)


def forget_states(model: Any) -> None:
    """Zero the states of stateful recurrent layers."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            layer.reset_states()
