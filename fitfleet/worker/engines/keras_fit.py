"""Keras's own `fit`: can do all that Keras can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker import data
from fitfleet.worker.build import build, precision
from fitfleet.worker.callbacks import EpochEnd, EpochStart, ModelState, user_callbacks
from fitfleet.worker.engines.engine import Hooks, Member
from fitfleet.worker.process.memory import micro_batch
from fitfleet.worker.state import checkpoint


class KerasFit:
    """One member after the other, each with a fresh model and one call of `model.fit`."""

    name = "fit"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def fit(self, members: Sequence[Member], hooks: Hooks) -> None:
        """Trains every member that is not done to its end."""
        for member in members:
            with hooks.running(member), precision(member.spec.dtype_policy):
                hooks.batch_end(member)  # it may have been stopped while it waited
                self._fit(member, hooks)

    def _fit(self, member: Member, hooks: Hooks) -> None:
        spec, arrays = member.spec, member.arrays
        batch_size, accumulate = micro_batch(spec, member.options, member.claim.memory_step)
        model = build(
            spec,
            self._settings,
            steps_per_execution=spec.steps_per_execution,
            accumulate=accumulate,
        )
        member.callbacks = user_callbacks(spec, self._settings)
        if member.snapshot is not None:
            checkpoint.restore(model, member.snapshot)
        if member.is_trained:
            finish_callbacks(model, member)
        else:
            fed = spec.model_copy(update={"batch_size": batch_size})
            dataset, steps = data.training(
                arrays, fed, member.first_epoch, whole_bytes=self._settings.memory_bytes
            )
            _check_steps(spec, steps)
            model.fit(
                dataset,
                epochs=spec.epochs,
                initial_epoch=member.first_epoch,
                steps_per_epoch=steps,
                verbose=0,
                shuffle=False,  # the dataset is in order already
                class_weight=class_weight(spec),
                **_validation(member, batch_size),
                callbacks=[
                    EpochStart(member, hooks),
                    *member.callbacks,
                    EpochEnd(member, hooks),
                ],
            )
        hooks.train_end(member, ModelState(model))


def finish_callbacks(model: Any, member: Member) -> None:
    """What Keras does after the last epoch, for a fit whose last epoch is behind it."""
    # Averaged weights (use_ema) take their place; a checkpoint holds them and the average.
    model.optimizer.finalize_variable_values(model.trainable_weights)
    if member.snapshot is None:
        return
    checkpoint.restore_callbacks(member.callbacks, member.snapshot)
    for callback in member.callbacks:
        if getattr(callback, "restore_best_weights", False) and callback.best_weights is not None:
            model.set_weights(callback.best_weights)


def class_weight(spec: JobSpec) -> dict[int, float] | None:
    """Keras's class_weight, with whole numbers as keys."""
    if spec.class_weight is None:
        return None
    return {int(key): value for key, value in spec.class_weight.items()}


def _validation(member: Member, most_rows: int) -> dict[str, Any]:
    arrays, spec = member.arrays, member.spec
    if arrays.x_val is None:
        return {}
    batch_size = spec.validation_batch_size or spec.batch_size
    if most_rows < spec.batch_size:  # on the memory ladder
        batch_size = min(batch_size, most_rows)
    found = data.evaluation(arrays.x_val, arrays.y_val, arrays.sample_weight_val, batch_size)
    if not isinstance(found, tuple):
        return {"validation_data": found}
    return {"validation_data": found, "validation_batch_size": batch_size}


def _check_steps(spec: JobSpec, steps: int) -> None:
    if steps % spec.steps_per_execution:
        raise SpecError(
            "steps_per_execution",
            f"{spec.steps_per_execution} does not divide the {steps} steps of an epoch",
        )
