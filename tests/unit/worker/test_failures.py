"""The class of each error, and the sentence that is shown for it."""

from __future__ import annotations

import pytest

from fitfleet.errors import DatabaseError, DatasetError, SpecError, StorageError
from fitfleet.spec.job import DatasetSpec, JobOptions, JobSpec, ModelSpec
from fitfleet.states import FailureClass
from fitfleet.worker.environment import differences
from fitfleet.worker.process.memory import fallback_level, micro_batch, peak_bytes, reset_peak
from fitfleet.worker.recording.failures import NanLoss, classify


class ResourceExhaustedError(Exception):
    """As TensorFlow names it."""


@pytest.mark.parametrize(
    ("error", "failure_class", "message"),
    [
        (MemoryError(), FailureClass.MEMORY, "out of memory: MemoryError"),
        (ResourceExhaustedError("OOM\nat x"), FailureClass.MEMORY, "out of memory: OOM"),
        (
            ResourceExhaustedError("Graph execution error:\n\nDetected at node x\nOOM when y\n z"),
            FailureClass.MEMORY,
            "out of memory: OOM when y",
        ),
        (StorageError("full"), FailureClass.STORAGE, "full"),
        (SpecError("loss", "no"), FailureClass.USER, "loss: no"),
        (DatasetError("gone"), FailureClass.USER, "gone"),
        (ValueError("\n shapes\nmore"), FailureClass.INTERNAL, "ValueError: shapes more"),
        (DatabaseError("away"), FailureClass.INTERNAL, "away"),
        (NanLoss("NaN in epoch 2"), FailureClass.NAN, "NaN in epoch 2"),
        (RuntimeError(""), FailureClass.INTERNAL, "RuntimeError: RuntimeError"),
        (KeyError("x"), FailureClass.INTERNAL, "KeyError: 'x'"),
    ],
)
def test_each_error_has_its_failure_class(
    error: Exception, failure_class: FailureClass, message: str
) -> None:
    assert classify(error) == (failure_class, message)


def _spec(batch_size: int, accumulate: int | None = None) -> JobSpec:
    return JobSpec(
        model=ModelSpec(),
        dataset=DatasetSpec(),
        optimizer={},
        loss="mse",
        batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
    )


@pytest.mark.parametrize(
    ("batch_size", "accumulate", "step", "expected"),
    [
        (64, None, 0, (64, None)),
        (64, None, 1, (64, None)),
        (64, None, 2, (32, 2)),
        (64, 3, 3, (16, 12)),
        (2, None, 9, (1, 2)),
    ],
)
def test_fallback_levels_after_running_out_of_memory(
    batch_size: int, accumulate: int | None, step: int, expected: tuple[int, int | None]
) -> None:
    spec = _spec(batch_size, accumulate)
    assert micro_batch(spec, JobOptions(shrink_on_oom=True), step) == expected
    assert micro_batch(spec, JobOptions(), step) == (batch_size, None)
    assert bool(fallback_level(spec, JobOptions(), step)) == bool(step)


def test_the_peak_is_that_since_the_reset() -> None:
    held = bytearray(200 * 2**20)
    before = peak_bytes()
    del held
    reset_peak()
    after = peak_bytes()
    assert before is not None and after is not None
    assert after < before - 100 * 2**20


def test_what_may_change_a_bit_is_a_difference() -> None:
    before = {"keras": "3.15.1", "threads": 2, "device": "cpu"}
    now = {"keras": "3.16.0", "threads": 1, "device": "cpu"}
    assert differences(before, now) == ["keras: 3.15.1 -> 3.16.0", "threads: 2 -> 1"]
