"""Keras's own `fit`: can do all that Keras can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.worker import data, resume
from fitfleet.worker.build import build, precision
from fitfleet.worker.callbacks import EpochEnd, EpochStart, ModelState, user_callbacks
from fitfleet.worker.engine import Hooks, Member


class KerasFit:
    """One member after the other, each with a fresh model and one call of `model.fit`."""

    name = "fit"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def fit(self, members: Sequence[Member], hooks: Hooks) -> None:
        """Trains every member that is not done to its end."""
        for member in members:
            with hooks.running(member), precision(member.spec.dtype_policy):
                self._fit(member, hooks)

    def _fit(self, member: Member, hooks: Hooks) -> None:
        spec, arrays = member.spec, member.arrays
        batch_size, accumulate = micro_batch(spec, member.claim.memory_step)
        model = build(
            spec,
            self._settings,
            steps_per_execution=spec.steps_per_execution,
            accumulate=accumulate,
        )
        member.callbacks = user_callbacks(spec)
        if member.snapshot is not None:
            resume.restore(model, member.snapshot)
        if member.is_trained:
            finish_callbacks(model, member)
        else:
            fed = spec.model_copy(update={"batch_size": batch_size})
            dataset, steps = data.training(arrays, fed, member.first_epoch)
            _check_steps(spec, steps)
            model.fit(
                dataset,
                epochs=spec.epochs,
                initial_epoch=member.first_epoch,
                steps_per_epoch=steps,
                verbose=0,
                class_weight=class_weight(spec),
                **_validation(member),
                callbacks=[
                    EpochStart(member, hooks),
                    *member.callbacks,
                    EpochEnd(member, hooks),
                ],
            )
        hooks.train_end(member, ModelState(model))


def micro_batch(spec: JobSpec, memory_step: int) -> tuple[int, int | None]:
    """Batch size and accumulation on a rung of the memory ladder; above rung 1 they change."""
    halvings = max(0, memory_step - 1)
    if not halvings:
        return spec.batch_size, None
    factor = min(2**halvings, spec.batch_size)
    return max(1, spec.batch_size // factor), (spec.gradient_accumulation_steps or 1) * factor


def finish_callbacks(model: Any, member: Member) -> None:
    """What the callbacks' `on_train_end` does, for a fit whose last epoch is behind it."""
    for best, callback in zip(
        member.snapshot.best if member.snapshot else [], member.callbacks, strict=True
    ):
        if best is not None and getattr(callback, "restore_best_weights", False):
            model.set_weights(best)


def class_weight(spec: JobSpec) -> dict[int, float] | None:
    """Keras's class_weight, with whole numbers as keys."""
    if spec.class_weight is None:
        return None
    return {int(key): value for key, value in spec.class_weight.items()}


def _validation(member: Member) -> dict[str, Any]:
    arrays, spec = member.arrays, member.spec
    if arrays.x_val is None:
        return {}
    batch_size = spec.validation_batch_size or spec.batch_size
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
