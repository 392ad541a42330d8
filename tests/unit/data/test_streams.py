from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitfleet.data.arrays import Stream, load, split_validation
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

ROWS = 500
DATA = np.random.default_rng(0).normal(size=(ROWS, 6))


@pytest.fixture
def stream(folder: Path, settings: Settings) -> Stream:
    with h5py.File(folder / "s.h5", "w") as file:
        file.create_dataset("x", data=DATA, chunks=(32, 6), compression="lzf")
        file["y"] = np.arange(ROWS)
    streamed = load(DatasetSpec(path="s.h5"), settings.replace(memory_bytes=1000)).x
    assert isinstance(streamed, Stream)
    return streamed


def test_a_stream_looks_like_its_array(stream: Stream) -> None:
    assert (len(stream), stream.shape, stream.dtype) == (ROWS, (ROWS, 6), np.float32)
    assert stream.nbytes == ROWS * 6 * 4


@pytest.mark.parametrize(
    "indices",
    [[], [3], [499, 0, 250], [7, 7, 7], list(range(ROWS)), list(range(ROWS))[::-1], [-1, -500]],
)
def test_take_gives_rows_in_the_order_asked(stream: Stream, indices: list[int]) -> None:
    taken = stream.take(indices)
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, DATA.astype("f4")[np.array(indices, int)])


def test_take_of_shuffled_rows(stream: Stream) -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    np.testing.assert_array_equal(stream.take(order), DATA.astype("f4")[order])


@pytest.mark.parametrize("index", [ROWS, -ROWS - 1])
def test_a_row_that_is_not_there(stream: Stream, index: int) -> None:
    with pytest.raises(IndexError):
        stream.take([index])


def test_a_part_of_a_part_reads_its_rows(stream: Stream) -> None:
    some = stream.select(slice(100, 300, 2)).select(np.array([5, 0, 99]))
    np.testing.assert_array_equal(some.take([0, 1, 2]), DATA.astype("f4")[[110, 100, 298]])
    blocks = list(stream.select(slice(10, 20)).blocks())
    np.testing.assert_array_equal(np.concatenate(blocks), DATA.astype("f4")[10:20])


def test_a_stream_travels_to_another_process(stream: Stream) -> None:
    stream.take([0])
    other = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(other.take([4]), DATA.astype("f4")[[4]])


def test_a_file_that_has_changed_is_not_mixed_in(stream: Stream, folder: Path) -> None:
    fresh = stream.select(slice(None))
    with h5py.File(folder / "s.h5", "r+") as file:
        file["x"][0] = 0
    with pytest.raises(DatasetError, match="has changed since it was checked"):
        fresh.take([0])


def test_the_split_of_a_stream_reads_nothing(folder: Path, settings: Settings) -> None:
    with h5py.File(folder / "s.h5", "w") as file:
        file["x"], file["y"] = DATA, np.arange(ROWS)
    arrays = load(DatasetSpec(path="s.h5"), settings.replace(memory_bytes=1000))
    assert arrays.has_streams
    arrays = split_validation(arrays, 0.2)
    assert (len(arrays.x), len(arrays.x_val)) == (400, 100)
    np.testing.assert_array_equal(arrays.y_val.take([0, 99]), [400, 499])
