"""Several files as one dataset, and windows over many series that never cross a border."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fitfleet as ff
from fitfleet.data.arrays import Arrays, Stream, load
from fitfleet.data.description.description import describe
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.data.rows import windows
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import Windows


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(storage=str(tmp_path / "storage"))


def _load(settings: Settings, dataset: Any) -> Arrays:
    return load(DataStore(settings).replaced({"dataset": dataset})["dataset"], settings)


@pytest.mark.parametrize("form", [list, tuple, lambda names: {"path": names}, ff.Dataset])
def test_rows_of_files_follow_each_other(form: Any, folder: Path, settings: Settings) -> None:
    for number in range(3):
        with h5py.File(folder / f"part-{number}.h5", "w") as file:
            file["x"] = np.full((2, 3), number, "f4")
            file["y"] = np.arange(2) + number
    arrays = _load(settings, form([f"part-{number}.h5" for number in range(3)]))
    np.testing.assert_array_equal(arrays.x[:, 0], [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(arrays.y, [0, 1, 1, 2, 2, 3])


def test_a_word_has_one_code_in_all_files(folder: Path, settings: Settings) -> None:
    (folder / "a.csv").write_text("x,y\nred,cat\nblue,dog\n")
    (folder / "b.csv").write_text("x,y\n,cow\nred,cat\n")
    given = ff.Dataset(["a.csv", "b.csv"], x="x", y="y", categories=["x"])
    spec = DataStore(settings).replaced({"dataset": given})["dataset"]
    assert spec.categories == {"x": ["blue", "red", ""], "y": ["cat", "cow", "dog"]}
    arrays = load(spec, settings)
    assert arrays.x.tolist() == [1, 0, 2, 1] and arrays.y.tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("x0,y\n1,2\n", "has no array 'x1'"),
        ("x0,x1,y\na,b,c\n", "not a number"),
        ("", "b.csv"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    second: str, says: str, folder: Path, settings: Settings
) -> None:
    (folder / "a.csv").write_text("x0,x1,y\n1,2,3\n")
    (folder / "b.csv").write_text(second)
    with pytest.raises(DatasetError, match=says):
        _load(settings, ff.Dataset(["a.csv", "b.csv"], x=["x0", "x1"], y="y"))


def test_joined_files_keep_all_digits(folder: Path, settings: Settings) -> None:
    """A job in float64 reads them all; others read float32, as of one file."""
    for name in ("a.npz", "b.npz"):
        np.savez(folder / name, x=np.full((2, 3), 0.1), y=np.zeros(2, "int64"))
    spec = DataStore(settings).replaced({"dataset": ["a.npz", "b.npz"]})["dataset"]
    assert load(spec, settings, floatx="float64").x.tolist() == [[0.1] * 3] * 4
    assert load(spec, settings).x.dtype == np.float32


def test_files_above_the_bound_are_not_joined(folder: Path, settings: Settings) -> None:
    for name in ("a.h5", "b.h5"):
        with h5py.File(folder / name, "w") as file:
            file["x"], file["y"] = np.zeros((100, 4), "f4"), np.zeros(100, "f4")
    with pytest.raises(DatasetError, match=r"4,000 bytes together, above .* memory_bytes=3,000"):
        _load(settings.replace(memory_bytes=3000), ["a.h5", "b.h5"])


def test_each_file_is_a_series_of_windows(folder: Path, settings: Settings) -> None:
    for name, first, steps in (("a.csv", 0, 5), ("b.csv", 100, 2), ("c.csv", 200, 4)):
        pd.DataFrame({"t": np.arange(first, first + steps)}).to_csv(folder / name, index=False)
    given = ff.Dataset(["a.csv", "b.csv", "c.csv"], x="t", y="t", windows={"length": 2})
    arrays = _load(settings, given)
    assert arrays.x.tolist() == [[0, 1], [1, 2], [2, 3], [200, 201], [201, 202]]
    assert arrays.y.tolist() == [2, 3, 4, 202, 203]


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    length=st.integers(1, 4),
    stride=st.integers(1, 3),
    horizon=st.integers(0, 3),
)
def test_windows_of_many_series_equal_those_of_each(
    lengths: list[int], length: int, stride: int, horizon: int
) -> None:
    size = Windows(length=length, stride=stride, horizon=horizon)
    series = np.arange(2 * sum(lengths)).reshape(-1, 2)
    each = np.split(series, np.cumsum(lengths)[:-1])
    x = np.concatenate([windows.inputs(part, size) for part in each])
    y = np.concatenate([windows.targets(part, size) for part in each])
    np.testing.assert_array_equal(windows.inputs(series, size, lengths), x)
    np.testing.assert_array_equal(windows.targets(series, size, lengths), y)
    assert windows.total(lengths, size) == len(x) == len(y)


def test_a_column_names_the_series(folder: Path, settings: Settings) -> None:
    frame = pd.DataFrame(
        {"engine": ["b"] * 4 + ["a"] * 3 + ["b"] * 2, "load": np.arange(9.0), "rpm": np.arange(9.0)}
    )
    frame.to_csv(folder / "engines.csv", index=False)
    given = ff.Dataset(
        "engines.csv",
        x=["load", "rpm"],
        y="load",
        windows={"length": 2, "horizon": 1, "series": "engine"},
    )
    info = describe(given, settings)
    assert info is not None and info.rows == 3 and info.x.shape == (3, 2, 2)
    arrays = load(given, settings)
    assert arrays.x[:, :, 0].tolist() == [[0, 1], [1, 2], [4, 5]]
    assert arrays.y.tolist() == [2, 3, 6]


def test_streamed_series_equal_those_in_memory(folder: Path, settings: Settings) -> None:
    ids = np.repeat([3, 1, 2], [30, 2, 20])
    with h5py.File(folder / "s.h5", "w") as file:
        file["x"], file["id"] = np.arange(104.0).reshape(52, 2), ids
    given = ff.Dataset("s.h5", windows={"length": 5, "stride": 2, "series": "id"})
    whole = load(given, settings)
    streamed = load(given, settings.replace(memory_bytes=64))
    assert isinstance(streamed.x, Stream) and len(streamed.x) == len(whole.x) == 13 + 8
    np.testing.assert_array_equal(streamed.x.take(np.arange(21)), whole.x)
    np.testing.assert_array_equal(streamed.y.take(np.arange(21)), whole.y)


def test_a_series_needs_one_number_a_row(folder: Path, settings: Settings) -> None:
    with h5py.File(folder / "s.h5", "w") as file:
        file["x"], file["id"] = np.zeros((10, 2)), np.zeros(9)
        file["x_val"] = np.zeros((10, 2))
    size = {"length": 2, "series": "id"}
    with pytest.raises(DatasetError, match=r"'id' has the shape \(9,\).* 10 rows"):
        load(ff.Dataset("s.h5", x_val=False, windows=size), settings)
    with pytest.raises(DatasetError, match="x_val=False"):
        load(ff.Dataset("s.h5", windows=size), settings)
    with pytest.raises(DatasetError, match="no array 'nix'"):
        load(ff.Dataset("s.h5", x_val=False, windows={"length": 2, "series": "nix"}), settings)
