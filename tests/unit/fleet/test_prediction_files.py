"""Predictions as files: every format gives the arrays back that went in, part by part."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fitfleet.analysis.exports.predictions import named, print_csv, write
from fitfleet.errors import FitfleetError

RNG = np.random.default_rng(5)
ONE = RNG.normal(size=(7, 3)).astype("float32")
TWO = {"low": ONE, "high": RNG.normal(size=(7, 1)).astype("float32")}


def parts(whole: Any) -> Iterator[Any]:
    """Four rows, then three."""
    for rows in (slice(4), slice(4, None)):
        if isinstance(whole, dict):
            yield {name: array[rows] for name, array in whole.items()}
        elif isinstance(whole, list):
            yield [array[rows] for array in whole]
        else:
            yield whole[rows]


def test_a_csv_holds_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert write(parts(TWO), path) == 7
    header, *lines = path.read_text().splitlines()
    assert header == "low_0,low_1,low_2,high"
    read = np.array([line.split(",") for line in lines]).astype("float32")
    np.testing.assert_array_equal(read, np.hstack([TWO["low"], TWO["high"]]))
    said = io.StringIO()
    assert print_csv(parts(ONE[:, :1]), said) == 7
    assert said.getvalue().splitlines()[:2] == ["predictions", str(ONE[0, 0])]


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    assert write(parts(ONE), tmp_path / "out.npy") == 7
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), ONE)
    assert write(parts([ONE, TWO["high"]]), tmp_path / "out.npz") == 7
    with np.load(tmp_path / "out.npz") as read:
        assert set(read.files) == {"0", "1"}
        np.testing.assert_array_equal(read["1"], TWO["high"])
    deep = ONE.reshape(7, 3, 1)
    assert write(parts(deep), tmp_path / "out.h5") == 7
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_array_equal(file["predictions"][()], deep)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.h5", "out.npy", "out.npz"]


def test_outputs_within_outputs_have_names_of_both() -> None:
    given = named({"a": [ONE, ONE], "b": ONE})
    assert list(given) == ["a/0", "a/1", "b"]


@pytest.mark.parametrize(
    ("whole", "name", "said"),
    [
        (
            ONE,
            "out.txt",
            r"^--output: '.*out\.txt' does not end in one of \.csv, \.h5, \.npy, \.npz",
        ),
        (ONE, "absent/out.csv", r"^--output: .* the folder '.*absent' does not exist"),
        (TWO, "out.npy", r"^--output: the model has 2 outputs, low, high, and \.npy holds one"),
        (ONE[:, None], "out.csv", r"^predictions: has rows of shape \(1, 3\), and CSV holds one"),
    ],
)
def test_what_a_format_cannot_hold_is_reported_and_leaves_no_file(
    whole: Any, name: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(FitfleetError, match=said):
        write(parts(whole), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
