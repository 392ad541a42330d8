"""Each example through a real worker gives the numbers of a plain Keras script, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cases import NAMES, compile_arguments
from plain import Plain, fit
from support.parts import sampled

import fitfleet as ff

Submitted = dict[str, list[tuple[dict[str, Any], ff.Job]]]

# What `saving` shows is what it saves: test_topics.py.
EQUAL = [name for name in NAMES if name != "saving"]
QUICK = ("stacked_lstm", "mlp")
SLOW = ("stateful_lstm", "encoder_decoder")


def decay(epoch: int) -> float:
    """ExponentialDecay(0.01, decay_steps=2, decay_rate=0.5) by hand."""
    return float(keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)(epoch))


CALLBACKS = {
    "stop": lambda: [
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=1, min_delta=0.05, restore_best_weights=True
        ),
        keras.callbacks.TerminateOnNaN(),
    ],
    "plateau": lambda: [
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", patience=1, min_delta=0.05)
    ],
    "schedule": lambda: [keras.callbacks.LearningRateScheduler(decay)],
}


@pytest.mark.parametrize("name", sampled(EQUAL, *QUICK, slow=SLOW))
def test_history_weights_and_scores_are_equal(
    name: str, submitted: Submitted, fleet: ff.Fleet
) -> None:
    for job, handle in submitted[name]:
        make = CALLBACKS.get(job.get("params", {}).get("callbacks", ""), list)
        plain = fit(handle.spec, compile_arguments(job), make(), start_of(handle, fleet))
        assert_equal(handle.wait(timeout_s=240, raise_on_failure=True), plain)


def start_of(handle: ff.Job, fleet: ff.Fleet) -> Path | None:
    """The file of weights that the job starts from."""
    weights = handle.spec.initial_weights
    if weights is None:
        return None
    return Path(fleet.settings.storage) / ".initial" / f"{weights.sha256}.weights.h5"


def assert_equal(handle: ff.Job, plain: Plain) -> None:
    history = handle.history
    assert sorted(history.columns) == sorted(["epoch", *plain.history])
    for metric, values in plain.history.items():
        assert list(history[metric]) == [float(v) for v in values], (handle, metric)
    for metric, value in plain.scores.items():
        assert handle.scores[metric] == value, (handle, metric)
    model = handle.load_model()
    assert_same_arrays(model.get_weights(), plain.model.get_weights(), handle)
    assert_same_arrays(optimizer_state(model), optimizer_state(plain.model), handle)


def assert_same_arrays(left: list[Any], right: list[Any], handle: ff.Job) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=repr(handle))


def optimizer_state(model: keras.Model) -> list[Any]:
    return [np.asarray(variable) for variable in model.optimizer.variables]
