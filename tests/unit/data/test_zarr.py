"""Zarr folders: unpacked once to the storage, by the process that may die of them, or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import fitfleet as ff
from fitfleet.data.arrays import load
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.job import DatasetSpec


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(storage=str(tmp_path / "storage"))


def stored(settings: Settings, dataset: Any) -> DatasetSpec:
    return dataset_spec(DataStore(settings).replaced({"dataset": dataset})["dataset"])


X = np.random.default_rng(0).random((50, 4, 3)).astype("float32")
Y = np.arange(50)


def write(path: Path, zarr_format: Any = 3, **options: Any) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.create_array("x", shape=X.shape, chunks=(16, 4, 2), dtype="f4", **options)[:] = X
    group.create_group("more").create_array("labels", data=Y)
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_group_holds_arrays_by_their_paths(
    zarr_format: int, settings: Settings, folder: Path
) -> None:
    write(folder / "a.zarr", zarr_format)
    spec = stored(settings, ff.Dataset("a.zarr", x="x", y="more/labels"))
    arrays = load(spec, settings)
    np.testing.assert_array_equal(arrays.x, X)
    np.testing.assert_array_equal(arrays.y, Y)
    # The same numbers in another format are the same data.
    write(folder / "b.zarr", 5 - zarr_format)
    document = {"path": str(folder / "b.zarr") + "/", "x": "x", "y": "more/labels"}
    assert stored(settings, document).path == spec.path


def test_shards_big_endian_and_chunks_that_are_not_there(settings: Settings, folder: Path) -> None:
    group = zarr.open_group(folder / "a.zarr", mode="w")
    group.create_array("x", shape=(8, 4), chunks=(2, 4), shards=(4, 4), dtype="f4")[:] = 1.5
    group.create_array("y", shape=(8,), chunks=(2,), dtype=">i4", fill_value=7)[:2] = [1, 2]
    arrays = load(stored(settings, ff.Dataset("a.zarr", x="x", y="y")), settings)
    np.testing.assert_array_equal(arrays.x, np.full((8, 4), 1.5))
    np.testing.assert_array_equal(arrays.y, [1, 2, 7, 7, 7, 7, 7, 7])


def test_it_is_unpacked_once(
    settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitfleet.data.files import fingerprint
    from fitfleet.data.ingest import zarr as module

    monkeypatch.setattr(fingerprint, "SETTLED_NS", -1)
    write(folder / "a.zarr")
    first = stored(settings, ff.Dataset("a.zarr", x="x", y="more/labels"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "convert", None)
        assert stored(settings, ff.Dataset("a.zarr", x="x", y="more/labels")) == first
    group = zarr.open_group(folder / "a.zarr", mode="r+")
    group["x"][0] = 0  # type: ignore[index]
    assert stored(settings, ff.Dataset("a.zarr", x="x", y="more/labels")).path != first.path


def changed(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def pickled(path: Path) -> None:
    changed(path / "x" / ".zarray", compressor={"id": "pickle", "protocol": 5})


def foreign_shard(path: Path) -> None:
    inner = [{"name": "numcodecs.pickle"}]
    codec = {"name": "sharding_indexed", "configuration": {"codecs": inner}}
    changed(path / "x" / "zarr.json", codecs=[codec])


def linked(path: Path) -> None:
    (path / "x" / "zarr.json").rename(path / "moved")
    (path / "x" / "zarr.json").symlink_to(path / "moved")


def objects(path: Path) -> None:
    changed(path / "x" / ".zarray", dtype="|O")


def huge(path: Path) -> None:
    changed(path / "x" / "zarr.json", shape=[10**12, 4, 3])


def hollow(path: Path) -> None:
    changed(path / "x" / "zarr.json", shape=[4 * 10**6, 4, 3])


def torn(path: Path) -> None:
    (path / "x" / "zarr.json").write_text("{")


def cut(path: Path) -> None:
    chunk = path / "x" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:9])


BAD = {
    pickled: (2, "is packed by 'pickle', which is not read here"),
    objects: (2, "not numbers"),
    foreign_shard: (3, "is packed by 'numcodecs.pickle'"),
    linked: (3, "is a link, and a Zarr folder is read without"),
    huge: (3, "above the setting max_dataset_bytes"),
    hollow: (3, "are stored; write the data into it"),
    torn: (3, "is not metadata of Zarr"),
    cut: (3, "a.zarr"),
}


@pytest.mark.parametrize("spoil", sorted(BAD, key=lambda one: one.__name__))
def test_what_is_unsafe_or_damaged_is_refused(spoil: Any, settings: Settings, folder: Path) -> None:
    zarr_format, says = BAD[spoil]
    path = write(folder / "a.zarr", zarr_format)
    spoil(path)
    with pytest.raises(DatasetError) as caught:
        stored(settings, ff.Dataset("a.zarr", x="x", y="more/labels"))
    assert says in str(caught.value)
    assert not list((Path(settings.storage) / "datasets").glob("*.h5"))


def test_a_folder_without_arrays_says_so(settings: Settings, folder: Path) -> None:
    (folder / "empty.zarr").mkdir()
    with pytest.raises(DatasetError, match="contains no Zarr arrays of numbers"):
        stored(settings, "empty.zarr")
