from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fitfleet.data.arrays import Arrays, Stream, load, split_fold, split_validation
from fitfleet.data.description.description import describe
from fitfleet.data.rows.folds import fold_rows
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

X = np.arange(22).reshape(11, 2)
Y = np.array([0, 1] * 5 + [0])


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.3, 0.5, 0.9])
def test_the_last_part_is_for_validation_as_in_keras(fraction: float) -> None:
    arrays = split_validation(Arrays(x={"a": X, "b": [X, X]}, y=Y, sample_weight=Y * 2.0), fraction)
    first = math.floor(11 * (1 - fraction))
    np.testing.assert_array_equal(arrays.x["b"][1], X[:first])
    np.testing.assert_array_equal(arrays.x_val["a"], X[first:])
    np.testing.assert_array_equal(arrays.y_val, Y[first:])
    np.testing.assert_array_equal(arrays.sample_weight_val, Y[first:] * 2.0)
    assert arrays.rows == first


def test_given_validation_arrays_go_before_a_split() -> None:
    arrays = Arrays(x=X, y=Y, x_val=X[:2], y_val=Y[:2])
    assert split_validation(arrays, 0.5) is arrays
    assert split_validation(arrays, 0.0) is arrays


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"0\.5 of 1 rows leaves 0 for training and 1"):
        split_validation(Arrays(x=X[:1], y=Y[:1]), 0.5)


@pytest.mark.parametrize("kind", ["kfold", "stratified", "group", "timeseries"])
def test_folds_hold_out_rows_that_are_not_trained_on(kind: str) -> None:
    groups = np.arange(11) // 2
    arrays = Arrays(x=X, y=Y, groups=groups)
    held_out: list[int] = []
    for index in range(4):
        fold = {"kind": kind, "k": 4, "index": index, "seed": 3}
        parts = split_fold(arrays, fold)
        again = split_fold(arrays, fold)
        np.testing.assert_array_equal(parts.x_val, again.x_val)
        train, held = (set((part[:, 0] // 2).tolist()) for part in (parts.x, parts.x_val))
        assert not train & held
        np.testing.assert_array_equal(parts.y_val, Y[parts.x_val[:, 0] // 2])
        if kind == "group":
            assert not set(groups[list(train)]) & set(groups[list(held)])
        if kind == "timeseries":
            assert max(train) < min(held)
        if kind == "stratified":
            assert set(parts.y_val) == {0, 1}
        held_out += sorted(held)
    if kind != "timeseries":
        assert sorted(held_out) == list(range(11))


def test_one_hot_labels_are_stratified_by_their_class() -> None:
    parts = split_fold(Arrays(x=X, y=np.eye(2)[Y]), {"kind": "stratified", "k": 2, "index": 0})
    assert set(parts.y_val.argmax(1)) == {0, 1}


@pytest.mark.parametrize(
    ("fold", "problem"),
    [
        ({"kind": "leave", "k": 2, "index": 0}, "'leave' is not one of kfold, stratified"),
        ({"k": 1, "index": 0}, "1 is not a number of folds from 2 to 11 rows"),
        ({"k": 12, "index": 0}, "12 is not a number of folds"),
        ({"k": 3, "index": 3}, "3 is not a fold from 0 to 2"),
        ({"k": 3}, "None is not a fold"),
        ({"k": True, "index": 0}, "True is not a number of folds"),
        ({"k": 3, "index": True}, "True is not a fold"),
        ({"k": 3, "index": 0, "seed": "x"}, "'x' is not an integer from 0"),
        ({"k": 3, "index": 0, "seed": 2**32}, "4294967296 is not an integer from 0"),
        ({"k": 3, "index": 0, "kind": ["kfold"]}, "is not one of"),
        ({"kind": "group", "k": 2, "index": 0}, "needs labels: Dataset"),
        ({"kind": "stratified", "k": 9, "index": 0}, "stratified with k=9"),
    ],
)
def test_impossible_folds_are_rejected(fold: dict[str, Any], problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        split_fold(Arrays(x=X, y=Y), fold)


@pytest.mark.parametrize("memory_bytes", [2**30, 10])
@pytest.mark.parametrize("kind", ["kfold", "timeseries", "group"])
def test_load_applies_the_fold_and_describe_knows_its_rows(
    kind: str, memory_bytes: int, folder: Path, settings: Settings
) -> None:
    settings = settings.replace(memory_bytes=memory_bytes)
    with h5py.File(folder / "f.h5", "w") as file:
        file["x"], file["y"], file["who"] = X, Y, np.arange(11) // 3
        file["x_val"], file["y_val"] = X, Y
    for index in range(3):
        fold = {"kind": kind, "k": 3, "index": index}
        dataset = DatasetSpec(path="f.h5", groups="who", fold=fold)
        info = describe(dataset, settings)
        arrays = load(dataset, settings)
        assert info is not None and info.x_val is None  # the fold gives the validation rows
        assert isinstance(arrays.x, Stream) == (memory_bytes == 10)
        whole = [
            part.take(np.arange(len(part))) if isinstance(part, Stream) else part
            for part in (arrays.x, arrays.y, arrays.x_val, arrays.y_val)
        ]
        np.testing.assert_array_equal(whole[1], Y[whole[0][:, 0] // 2])
        np.testing.assert_array_equal(whole[3], Y[whole[2][:, 0] // 2])
        counts = fold_rows(info)
        assert counts == (None if kind == "group" else (len(whole[0]), len(whole[2])))


def test_more_folds_than_the_setting_are_refused_before_the_work(
    folder: Path, settings: Settings
) -> None:
    np.savez(folder / "a.npz", x=np.zeros((60_000, 1), "f4"), y=np.zeros(60_000, "f4"))
    dataset = DatasetSpec(path="a.npz", fold={"kind": "kfold", "k": 60_000, "index": 0})
    with pytest.raises(DatasetError, match="60,000 folds are above the setting max_folds=1,000"):
        load(dataset, settings)
    fold = load(dataset, settings.replace(max_folds=10**6))
    assert fold.rows == 59_999 and len(fold.x_val) == 1
