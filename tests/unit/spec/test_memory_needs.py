"""What a fit needs is predicted from what others of its kind or architecture needed."""

from __future__ import annotations

from typing import Any

import pytest

import fitfleet as ff
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.memory import MemoryPoint, Need, fit_kind, predict, size_class
from fitfleet.spec.submission import job_spec

GB = 10**9


def _spec(units: int = 4, **given: Any) -> JobSpec:
    model = ff.Sequential([ff.layers.Input((8,)), ff.layers.Dense(units), ff.layers.Dropout(0.5)])
    values = {"model": model, "dataset": "d.h5", "loss": "mse", "optimizer": "adam"}
    return job_spec(Settings(), **{**values, **given})


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 3},
        {"epochs": 9},
        {"optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.5}}},
        {"callbacks": [{"class_name": "TerminateOnNaN", "config": {}}]},
        {"dataset": {"path": "d.h5", "fold": {"kind": "kfold", "k": 5, "index": 2, "seed": 0}}},
    ],
    ids=str,
)
def test_what_changes_no_memory_changes_no_kind(change: dict[str, Any]) -> None:
    assert fit_kind(_spec(**change), "abc") == fit_kind(_spec(), "abc")


@pytest.mark.parametrize(
    "change",
    [
        {"units": 5},
        {"batch_size": 64},
        {"dtype_policy": "mixed_float16"},
        {"optimizer": "sgd"},
        {"metrics": ["mae"]},
    ],
    ids=str,
)
def test_what_changes_memory_changes_the_kind(change: dict[str, Any]) -> None:
    assert fit_kind(_spec(**change), "abc") != fit_kind(_spec(), "abc")


def test_other_data_are_another_architecture_and_another_batch_is_not() -> None:
    kind = fit_kind(_spec(), "abc")
    assert fit_kind(_spec(), "other").architecture != kind.architecture
    assert fit_kind(_spec(), "abc", 16).architecture == kind.architecture
    assert fit_kind(_spec(), "abc", 16).batch_size == 16


def test_of_its_own_kind_it_is_the_largest_and_a_tenth() -> None:
    points = [MemoryPoint(32, 1, 2 * GB), MemoryPoint(32, 1, 3 * GB), MemoryPoint(64, 1, 9 * GB)]
    assert predict(points, 32) == Need(3_300_000_000, 3 * GB, is_measured=True)


@pytest.mark.parametrize(("batch_size", "cohort"), [(100, 1), (25, 4), (50, 2)])
def test_of_its_architecture_it_lies_on_a_line_through_the_rows_of_a_step(
    batch_size: int, cohort: int
) -> None:
    points = [MemoryPoint(10, 1, 1 * GB), MemoryPoint(20, 1, 2 * GB), MemoryPoint(10, 3, 3 * GB)]
    expected = Need(11 * GB, 3 * GB, is_measured=False)
    assert predict(points, batch_size, cohort) == expected


def test_a_line_never_falls_below_what_fewer_rows_needed() -> None:
    points = [MemoryPoint(10, 1, 5 * GB), MemoryPoint(20, 1, 4 * GB)]
    assert predict(points, 40) == Need(5_500_000_000, 5 * GB, is_measured=False)


def test_a_single_measurement_tells_of_fewer_rows_only() -> None:
    points = [MemoryPoint(64, 1, 2 * GB)]
    assert predict(points, 32) == Need(2_200_000_000, 0, is_measured=False)
    assert predict(points, 128) is None
    assert predict([], 32) is None


def test_a_fit_that_ran_out_of_memory_needs_more_than_it_had() -> None:
    bound = MemoryPoint(64, 1, 0, bound_bytes=4 * GB)
    expected = Need(4_400_000_001, 4 * GB + 1, is_measured=False)
    assert predict([bound], 64) == predict([bound], 128) == expected
    assert predict([bound], 32) is None
    # Beside others it had less than it needed when it was alone.
    assert predict([MemoryPoint(64, 1, 3 * GB, 4 * GB)], 64) == Need(3_300_000_000, 3 * GB, True)


@pytest.mark.parametrize("size", [1, 999, 2**30, 2**30 + 1, 6_100_000_000])
def test_classes_hold_what_they_are_asked_for_and_a_fifth_more_at_most(size: int) -> None:
    assert size <= size_class(size) <= 1.19 * size + 1
    assert size_class(size_class(size)) == size_class(size)
