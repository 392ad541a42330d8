"""After the fit: Keras's metrics on the test arrays, and the user's NumPy evaluators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import Evaluator
from fitfleet.worker import data, trusted
from fitfleet.worker.callbacks import forget_states
from fitfleet.worker.engines.engine import Member
from fitfleet.worker.recording.explanation import explanation

Scores = dict[str, float]


class _Between(keras.callbacks.Callback):  # type: ignore[misc]
    """Lets a cancel act between the batches of an evaluation."""

    def __init__(self, between: Callable[[], None]) -> None:
        super().__init__()
        self._between = between

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """While evaluating."""
        self._between()

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """While predicting."""
        self._between()


def evaluate(model: Any, member: Member, between: Callable[[], None]) -> Scores:
    """`test_loss`, `test_<metric>` on the test arrays; nothing without test labels.

    `between` is called after each batch, and may raise.
    """
    arrays, batch_size = member.arrays, _batch_size(member)
    if arrays.x_test is None or arrays.y_test is None:
        return {}
    forget_states(model)
    fed = data.evaluation(arrays.x_test, arrays.y_test, None, batch_size)
    how: dict[str, Any] = {"return_dict": True, "verbose": 0, "callbacks": [_Between(between)]}
    found = (
        model.evaluate(*fed, batch_size=batch_size, **how)
        if isinstance(fed, tuple)
        else model.evaluate(fed, **how)
    )
    return {f"test_{name}": float(value) for name, value in found.items()}


def run_evaluators(
    model: Any, member: Member, settings: Settings, between: Callable[[], None]
) -> dict[str, Scores]:
    """Scores of each evaluator by its path. SpecError when one raises or returns no numbers.

    They see the test arrays, or the validation arrays where there are none. The third argument
    they get holds `arguments` (their own), `x` and `x_test`, `dataset` (the path as submitted),
    `job_id`, `experiment`, `params` and `seed`.
    """
    if not member.spec.evaluators:
        return {}
    arrays, batch_size = member.arrays, _batch_size(member)
    x, y = (arrays.x_test, arrays.y_test)
    if x is None:
        x, y = arrays.x_val, arrays.y_val
    if x is None:
        raise SpecError("evaluators", "the dataset has neither test nor validation arrays")
    forget_states(model)
    fed = data.evaluation(x, None, None, batch_size)
    fed = fed[0] if isinstance(fed, tuple) else fed
    predicted = model.predict(fed, batch_size=batch_size, verbose=0, callbacks=[_Between(between)])
    context = {
        "x": x,
        "x_test": arrays.x_test,
        "dataset": member.spec.dataset.path,
        "job_id": member.claim.job_id,
        "experiment": member.claim.experiment,
        "params": member.options.params,
        "seed": member.spec.seed,
    }
    return {
        one.path: _run(one, settings, y, predicted, {**context, "arguments": one.arguments})
        for one in member.spec.evaluators
    }


def _run(
    evaluator: Evaluator, settings: Settings, y: Any, predicted: Any, context: dict[str, Any]
) -> Scores:
    function = trusted.function(evaluator.path, settings, "evaluators")
    try:
        found = function(y, predicted, context)
    except Exception as error:  # the user's own code may raise anything
        name = type(error).__name__
        raise SpecError(
            "evaluators", f"{evaluator.path} raised {name}: {explanation(error)}"
        ) from error
    if not isinstance(found, dict):
        raise SpecError(
            "evaluators", f"{evaluator.path} returned a {type(found).__name__}, not a dict"
        )
    scores = {}
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, int | float | np.number):
            raise SpecError(
                "evaluators", f"{evaluator.path} returned {name!r}: {value!r}, not a number"
            )
        scores[name] = float(value)
    return scores


def _batch_size(member: Member) -> int:
    return member.spec.validation_batch_size or member.spec.batch_size
