from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitfleet.data.arrays import Stream, load
from fitfleet.data.description.description import describe
from fitfleet.data.rows import windows
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec, Windows


def _by_loop(series: np.ndarray, size: Windows) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The docstring of Windows, word for word."""
    x, y = [], []
    i = 0
    while i * size.stride + size.length - 1 + size.horizon < len(series):
        x.append(series[i * size.stride : i * size.stride + size.length])
        y.append(series[i * size.stride + size.length - 1 + size.horizon])
        i += 1
    return x, y


@given(
    steps=st.integers(1, 40),
    features=st.integers(0, 3),
    length=st.integers(1, 8),
    stride=st.integers(1, 5),
    horizon=st.integers(0, 5),
)
def test_windows_equal_a_plain_loop(
    steps: int, features: int, length: int, stride: int, horizon: int
) -> None:
    series = np.arange(steps * max(1, features), dtype=np.int64)
    if features:
        series = series.reshape(steps, features)
    size = Windows(length=length, stride=stride, horizon=horizon)
    x, y = _by_loop(series, size)
    assert windows.count(steps, size) == len(x)
    found_x, found_y = windows.inputs(series, size), windows.targets(series, size)
    assert found_x.shape == (len(x), length, *series.shape[1:])
    if x:
        np.testing.assert_array_equal(found_x, x)
        np.testing.assert_array_equal(found_y, y)
    else:
        assert len(found_y) == 0


def test_windows_do_not_copy() -> None:
    series = np.zeros((1000, 4), np.float32)
    cut = windows.inputs(series, Windows(length=100))
    assert np.shares_memory(cut, series) and not cut.flags.writeable


@pytest.mark.parametrize("memory_bytes", [2**30, 100])
def test_each_series_is_windowed_by_itself(
    memory_bytes: int, folder: Path, settings: Settings
) -> None:
    settings = settings.replace(memory_bytes=memory_bytes)
    random = np.random.default_rng(0)
    series = {
        name: random.normal(size=(steps, 2)).astype("f4")
        for name, steps in {"train": 50, "val": 20, "test": 13}.items()
    }
    with h5py.File(folder / "s.h5", "w") as file:
        for name, array in series.items():
            file.create_dataset(name, data=array, chunks=(7, 2))
    size = Windows(length=5, stride=2, horizon=3)
    dataset = DatasetSpec(
        path="s.h5",
        x="train",
        y="train",
        x_val="val",
        y_val="val",
        x_test="test",
        y_test="test",
        windows=size,
    )
    info = describe(dataset, settings)
    arrays = load(dataset, settings)
    assert info is not None
    for part, role in (("train", ""), ("val", "_val"), ("test", "_test")):
        x, y = _by_loop(series[part], size)
        found_x, found_y = getattr(arrays, f"x{role}"), getattr(arrays, f"y{role}")
        assert getattr(info, f"x{role}").shape == found_x.shape == (len(x), 5, 2)
        assert isinstance(found_x, Stream) == (memory_bytes == 100)
        if isinstance(found_x, Stream):
            order = np.random.default_rng(1).permutation(len(x))
            np.testing.assert_array_equal(found_x.take(order), np.array(x)[order])
            np.testing.assert_array_equal(found_y.take(order), np.array(y)[order])
        else:
            np.testing.assert_array_equal(found_x, x)
            np.testing.assert_array_equal(found_y, y)
    assert (info.rows, info.val_rows, info.test_rows) == (22, 7, 3)


def test_a_series_under_the_default_name_is_its_own_target(
    folder: Path, settings: Settings
) -> None:
    np.savez(folder / "s.npz", x=np.arange(10.0))
    arrays = load(DatasetSpec(path="s.npz", windows=Windows(length=3)), settings)
    np.testing.assert_array_equal(arrays.x[0], [0, 1, 2])
    assert arrays.y[0] == 3 and len(arrays.y) == 7


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ({"length": 0}, "windows.length: 0 is below 1"),
        ({"length": 2, "stride": 0}, "windows.stride: 0 is below 1"),
        ({"length": 2, "horizon": -1}, "windows.horizon: -1 is below 0"),
        ({"length": 11}, "no window fits into the series"),
    ],
)
def test_windows_that_make_no_rows_are_refused(
    size: dict[str, int], problem: str, folder: Path, settings: Settings
) -> None:
    np.savez(folder / "s.npz", x=np.arange(10.0))
    with pytest.raises(DatasetError, match=problem):
        describe(DatasetSpec(path="s.npz", windows=Windows(**size)), settings)
