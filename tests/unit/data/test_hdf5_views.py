"""HDF5 as other tools write it: tables, ragged rows, strings, MATLAB; and lists in Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from fitfleet.data.arrays import Arrays, Stream, load
from fitfleet.data.description.description import describe
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import Dataset

ROWS = [[1.0], [2.0, 3.0, 4.0], [], [5.0, 6.0]]
PADDED = np.array([[1, 0, 0], [2, 3, 4], [0, 0, 0], [5, 6, 0]], "f4")


def _load(settings: Settings, name: str, **given: Any) -> Arrays:
    return load(Dataset(name, **given), settings)


def _streamed(settings: Settings, name: str, **given: Any) -> Arrays:
    arrays = load(Dataset(name, **given), settings.replace(memory_bytes=16))
    assert isinstance(arrays.x, Stream)
    return arrays


def test_fields_of_a_compound_table_are_read_as_columns(folder: Path, settings: Settings) -> None:
    table = np.zeros(5, [("id", "i8"), ("values_block_0", "f8", (3,)), ("label", "i4")])
    table["values_block_0"] = np.arange(15).reshape(5, 3)
    table["label"] = [0, 1, 0, 1, 1]
    with h5py.File(folder / "t.h5", "w") as file:  # as pandas.to_hdf(format="table") writes
        file.create_dataset("frame/table", data=table, chunks=(2,), compression="gzip")
    given = {"x": "frame/table/values_block_0", "y": "frame/table/label"}
    arrays = _load(settings, "t.h5", **given)
    np.testing.assert_array_equal(arrays.x, table["values_block_0"])
    np.testing.assert_array_equal(arrays.y, table["label"])
    streamed = _streamed(settings, "t.h5", **given)
    np.testing.assert_array_equal(streamed.x.take([4, 0, 4]), table["values_block_0"][[4, 0, 4]])
    with pytest.raises(DatasetError, match="no field 'nix'; it has id, values_block_0, label"):
        _load(settings, "t.h5", x="frame/table/nix", y="frame/table/label")
    with pytest.raises(DatasetError, match="it contains frame/table/id, frame/table/label"):
        _load(settings, "t.h5")


def test_rows_of_different_lengths_are_padded(folder: Path, settings: Settings) -> None:
    with h5py.File(folder / "v.h5", "w") as file:
        x = file.create_dataset("x", (4,), h5py.vlen_dtype("f4"), chunks=(2,))
        for number, row in enumerate(ROWS):
            x[number] = row
        file["y"] = np.arange(4)
    np.testing.assert_array_equal(_load(settings, "v.h5").x, PADDED)
    np.testing.assert_array_equal(_streamed(settings, "v.h5").x.take([3, 1]), PADDED[[3, 1]])
    info = describe(Dataset("v.h5"), settings)
    assert info is not None and info.x.shape == (4, 3) and info.x.maximum == 6.0


def test_strings_of_any_length_are_read(folder: Path, settings: Settings) -> None:
    texts = ["a", "très long", ""]
    with h5py.File(folder / "s.h5", "w") as file:
        file["x"] = texts
        file["fixed"] = np.array([text.encode() for text in texts])
        file["y"] = np.arange(3)
    for name in ("x", "fixed"):
        texts_read = _load(settings, "s.h5", x=name, y="y").x
        assert [text.decode() for text in texts_read] == texts
    with pytest.raises(DatasetError, match="y contains texts, and only inputs may"):
        _load(settings, "s.h5", x="y", y="fixed")


def test_matlab_reverses_axes(folder: Path, settings: Settings) -> None:
    x, y = np.arange(24).reshape(4, 3, 2), np.arange(4).reshape(4, 1)
    with h5py.File(folder / "m.mat", "w", userblock_size=512) as file:
        file.create_dataset("X", data=x.T, chunks=(1, 3, 2))
        file["y"] = y.T
    with (folder / "m.mat").open("r+b") as plain:
        plain.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    np.testing.assert_array_equal(_load(settings, "m.mat").x, x)
    np.testing.assert_array_equal(_load(settings, "m.mat").y, y)
    np.testing.assert_array_equal(_streamed(settings, "m.mat").x.take([2, 0]), x[[2, 0]])


@pytest.mark.parametrize(
    ("start", "says"),
    [(b"MATLAB 5.0 MAT-file", "only v7.3 is read"), (b"", "was not written by MATLAB")],
)
def test_other_files_named_mat_are_rejected(
    start: bytes, says: str, folder: Path, settings: Settings
) -> None:
    if start:
        (folder / "m.mat").write_bytes(start.ljust(600))
    else:
        with h5py.File(folder / "m.mat", "w") as file:
            file["x"] = np.zeros((3, 2))
    with pytest.raises(DatasetError, match=says):
        _load(settings, "m.mat")


def test_lists_of_parquet_are_padded(folder: Path, settings: Settings) -> None:
    table = pa.table(
        {
            "seq": pa.array(ROWS, pa.list_(pa.float32())),
            "gaps": pa.array([[1, None], [0, 0], [2], []], pa.list_(pa.int64())),
            "fixed": pa.array([[i, i + 1] for i in range(4)], pa.list_(pa.int32(), 2)),
            "y": [0, 1, 0, 1],
        }
    )
    parquet.write_table(table, folder / "l.parquet")
    x = {"a": "seq", "b": "gaps", "c": "fixed"}
    arrays = _load(settings, "l.parquet", x=x, y="y")
    np.testing.assert_array_equal(arrays.x["a"], PADDED)
    np.testing.assert_array_equal(arrays.x["b"], [[1, np.nan], [0, 0], [2, 0], [0, 0]])
    np.testing.assert_array_equal(arrays.x["c"], [[0, 1], [1, 2], [2, 3], [3, 4]])
    with pytest.raises(DatasetError, match="several columns of lists"):
        _load(settings, "l.parquet", x=["seq", "y"], y="y")


def test_a_long_list_among_many_short_ones_is_bounded(folder: Path, settings: Settings) -> None:
    table = pa.table({"x": [[0.0] * 100_000, *[[0.0]] * 9_999], "y": [0] * 10_000})
    parquet.write_table(table, folder / "l.parquet")
    with pytest.raises(DatasetError, match="padded to the longest of 100,000"):
        _load(settings.replace(memory_bytes=2**30), "l.parquet", x="x", y="y")
