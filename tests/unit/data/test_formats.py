from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from fitfleet.data.arrays import Stream, load
from fitfleet.data.description.description import describe
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    if path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
        return
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=True, compression="gzip", shuffle=True)


@pytest.mark.parametrize("name", ["digits.h5", "digits.hdf5", "digits.npz"])
def test_default_names_are_found_and_float64_becomes_float32(
    name: str, folder: Path, settings: Settings, digits: dict[str, np.ndarray]
) -> None:
    _write(folder / name, digits)
    info = describe(DatasetSpec(path=name), settings)
    assert info is not None
    assert (info.rows, info.val_rows, info.test_rows) == (20, 8, 6)
    assert info.x.shape == (20, 4, 3) and info.x.dtype == "float64"
    assert info.y.dtype == "int64"
    assert (info.y.minimum, info.y.maximum) == (digits["y_train"].min(), digits["y_train"].max())
    assert info.dataset.x_val == "x_val" and info.dataset.y_test == "y_test"
    arrays = load(DatasetSpec(path=name), settings)
    assert arrays.x.dtype == np.float32
    np.testing.assert_array_equal(arrays.x, digits["x_train"].astype("float32"))
    for memory_bytes in (settings.memory_bytes, 1):  # read, or streamed if it is HDF5
        whole = settings.replace(memory_bytes=memory_bytes) if name != "digits.npz" else settings
        x = load(DatasetSpec(path=name), whole, floatx="float64").x
        assert x.dtype == np.float64
        x = x.take(range(20)) if isinstance(x, Stream) else x
        np.testing.assert_array_equal(x, digits["x_train"])
    np.testing.assert_array_equal(arrays.y, digits["y_train"])
    assert arrays.y.dtype == np.int64
    np.testing.assert_array_equal(arrays.x_test, digits["x_test"].astype("float32"))
    assert arrays.sample_weight is None


def test_resolving_twice_changes_nothing(
    folder: Path, settings: Settings, digits: dict[str, np.ndarray]
) -> None:
    _write(folder / "a.npz", digits)
    once = describe(DatasetSpec(path="a.npz"), settings)
    assert once is not None
    again = describe(once.dataset, settings)
    assert again is not None and again.dataset == once.dataset


def test_a_spec_from_the_database_still_has_its_defaults(folder: Path, settings: Settings) -> None:
    np.savez(folder / "a.npz", X=np.zeros((4, 2)), Y=np.zeros(4))
    stored = DatasetSpec.model_validate_json(DatasetSpec(path="a.npz").model_dump_json())
    info = describe(stored, settings)
    assert info is not None and (info.dataset.x, info.dataset.y) == ("X", "Y")


def test_npy_files_of_x_and_y_are_one_dataset(folder: Path, settings: Settings) -> None:
    x = np.asfortranarray(np.arange(12.0, dtype=np.float32).reshape(4, 3))
    np.save(folder / "x.npy", x)
    np.save(folder / "labels.npy", np.array([0, 1, 0, 1], ">i4"))
    dataset = DatasetSpec(files={"x": "x.npy", "y": "labels.npy"})
    arrays = load(dataset, settings)
    np.testing.assert_array_equal(arrays.x, x)
    np.testing.assert_array_equal(arrays.y, [0, 1, 0, 1])
    assert arrays.y.dtype.isnative


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_columns_of_a_table_are_read_by_name(suffix: str, folder: Path, settings: Settings) -> None:
    frame = pd.DataFrame(
        {"a": [1.5, 2.5, None], "b": [1, 2, 3], "flag": [True, False, True], "y": [0, 1, 1]}
    )
    path = folder / f"t{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    dataset = DatasetSpec(path=path.name, x={"left": ["a", "b"], "right": "flag"}, y="y")
    info = describe(dataset, settings)
    assert info is not None and info.is_table
    assert info.x["left"].shape == (3, 2) and info.x["left"].nan_count == 1
    assert info.warnings == [f"{path}: array 'a, b' contains 1 NaN"]
    arrays = load(dataset, settings)
    np.testing.assert_array_equal(arrays.x["left"], np.array([[1.5, 1], [2.5, 2], [np.nan, 3]]))
    assert arrays.x["right"].shape == (3,) and arrays.x["right"].dtype == bool
    assert arrays.y.dtype == np.int64
    arrays = load(DatasetSpec(path=path.name, x=["b"], y="y"), settings)
    assert arrays.x.shape == (3, 1)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_text_in_a_table_is_refused(suffix: str, folder: Path, settings: Settings) -> None:
    frame = pd.DataFrame({"x": ["red", "blue"], "y": [0, 1]})
    path = folder / f"t{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    with pytest.raises(
        DatasetError, match=r"column 'x' contains .*not (a )?numbers?; .*categories="
    ):
        describe(DatasetSpec(path=path.name), settings)


def test_several_named_inputs_and_outputs(folder: Path, settings: Settings) -> None:
    arrays = {"a": np.zeros((5, 2)), "b": np.ones((5, 3)), "y1": np.zeros(5), "y2": np.ones(5)}
    np.savez(folder / "m.npz", **arrays)
    by_name = load(DatasetSpec(path="m.npz", x={"i": "a", "j": "b"}, y=["y1", "y2"]), settings)
    assert set(by_name.x) == {"i", "j"} and by_name.x["j"].shape == (5, 3)
    assert isinstance(by_name.y, list) and by_name.y[1].sum() == 5


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"path": "gone.h5"}, "'gone.h5' does not exist in the data root"),
        ({"path": "../a.npz"}, "leaves the data root"),
        ({"path": "sub/../../a.npz"}, "leaves the data root"),
        ({"path": "a.npz", "x": "nope", "y": "odd"}, "no array 'nope'; it contains odd, other"),
        ({"path": "a.npz"}, "none of x_train, X_train, x, X .*contains odd, other"),
        ({"path": "a.npz", "x": "odd"}, "none of y_train, .* name it: Dataset\\(path, y="),
        ({"path": "a.npz", "x": "odd", "y": "other"}, "x has 3 rows but y has 4"),
        ({"path": "a.txt"}, "unknown format '.txt'; known are .h5"),
        ({"path": "d.h5"}, r"is a folder, not a file; say what it holds: .*ImageFolder"),
        ({"path": "a.pkl"}, "never opened here: load it in your script and give the arrays"),
        ({"path": "a.xlsx"}, r"pandas\.read_excel in your script"),
        ({"path": "a.tfrecord"}, r"ff\.TFRecord\(path, features="),
        ({"path": "https://example.org/a.h5"}, "a URL is fetched where a job is submitted"),
        ({"path": "broken.h5"}, "not a readable HDF5 file"),
        ({"path": "broken.npz"}, "not a readable .npz file"),
        ({}, "give either path or files"),
        ({"path": "one.npy"}, "give the pair as files="),
        ({"path": "empty.npz"}, "x has no rows"),
        ({"path": "a.npz", "x": [], "y": "odd"}, "names no array"),
        ({"path": "a.npz", "x": "odd", "y": "odd", "x_val": "odd"}, "x_val is given but not y_val"),
        ({"path": "a.npz", "x": "odd", "y": "odd", "y_val": "odd"}, "y_val is given but not x_val"),
    ],
)
def test_what_is_wrong_is_reported_in_one_sentence(
    spec: dict[str, Any], problem: str, folder: Path, settings: Settings
) -> None:
    np.savez(folder / "a.npz", odd=np.zeros((3, 2)), other=np.zeros(4))
    np.savez(folder / "empty.npz", x=np.zeros((0, 2)), y=np.zeros(0))
    np.save(folder / "one.npy", np.zeros(3))
    (folder / "d.h5").mkdir()
    for name in ("a.txt", "a.pkl", "a.xlsx", "a.tfrecord", "broken.h5", "broken.npz"):
        (folder / name).write_text("words")
    with pytest.raises(DatasetError, match=problem) as caught:
        describe(DatasetSpec(**spec), settings)
    assert "\n" not in str(caught.value)


def test_what_is_not_visible_here_is_none(tmp_path: Path, settings: Settings) -> None:
    elsewhere = settings.replace(data_root=str(tmp_path / "not-mounted"))
    assert describe(DatasetSpec(path="a.h5"), elsewhere) is None
    assert describe(DatasetSpec(path=str(tmp_path / "not-mounted" / "a.h5")), settings) is None
    with pytest.raises(DatasetError, match="does not exist"):
        describe(DatasetSpec(path=str(tmp_path / "a.h5")), settings)
    with pytest.raises(DatasetError, match="cannot be found on this machine"):
        load(DatasetSpec(path="a.h5"), elsewhere)


def test_nan_is_warned_of_or_refused_as_asked(folder: Path, settings: Settings) -> None:
    np.savez(folder / "a.npz", x=np.array([[1.0], [np.nan], [3.0]]), y=np.zeros(3))
    info = describe(DatasetSpec(path="a.npz"), settings)
    assert info is not None and info.arrays["x"].nan_count == 1
    assert (info.arrays["x"].minimum, info.arrays["x"].maximum) == (1.0, 3.0)
    assert "array 'x' contains 1 NaN" in info.warnings[0]
    quiet = describe(DatasetSpec(path="a.npz", nan="allow"), settings)
    assert quiet is not None and quiet.warnings == []
    with pytest.raises(DatasetError, match="contains 1 NaN; clean the data, or use nan='warn'"):
        describe(DatasetSpec(path="a.npz", nan="refuse"), settings)


def test_values_beyond_float32_are_infinite_in_it_alone(folder: Path, settings: Settings) -> None:
    np.savez(folder / "a.npz", x=np.array([[1e300], [0.0]]), y=np.zeros(2))
    assert np.isinf(load(DatasetSpec(path="a.npz"), settings).x[0, 0])
    assert load(DatasetSpec(path="a.npz"), settings, floatx="float64").x[0, 0] == 1e300


@pytest.mark.parametrize("cache_bytes", [1 << 20, 0])
def test_a_signalling_nan_is_a_nan(folder: Path, settings: Settings, cache_bytes: int) -> None:
    """The processor calls its conversion to float32 invalid; NumPy would warn."""
    x = np.array([0x7FF0000000000001, 0], np.uint64).view(np.float64)[:, None]
    np.savez(folder / "a.npz", x=x, y=np.zeros(2))
    settings = replace(settings, cache_bytes=cache_bytes)
    info = describe(DatasetSpec(path="a.npz"), settings)
    assert info is not None and "contains 1 NaN" in info.warnings[0]
    np.testing.assert_array_equal(load(DatasetSpec(path="a.npz"), settings).x, [[np.nan], [0]])
