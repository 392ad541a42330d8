from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitfleet.data import arrays as arrays_module
from fitfleet.data.arrays import load
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


def _save(path: Path, value: float, rows: int = 1000) -> DatasetSpec:
    np.savez(path, x=np.full((rows, 4), value, np.float32), y=np.zeros(rows, np.float32))
    return DatasetSpec(path=path.name)


def _stored(settings: Settings) -> list[Path]:
    return sorted(Path(settings.cache).glob("arrays/*/*.npy"))


def test_a_dataset_is_decoded_once_and_then_mapped(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _save(folder / "a.npz", 3.0)
    first = load(dataset, settings)
    monkeypatch.setattr(arrays_module, "open_source", lambda *_: pytest.fail("read again"))
    second = load(dataset, settings)
    np.testing.assert_array_equal(first.x, second.x)
    assert not second.x.flags.writeable
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert all(str(path) in maps.read_text() for path in _stored(settings))


def test_new_content_is_never_answered_with_old(folder: Path, settings: Settings) -> None:
    for number in range(20):
        dataset = _save(folder / "a.npz", float(number))
        assert load(dataset, settings).x[0, 0] == number


def test_content_other_than_at_submit_is_refused(folder: Path, settings: Settings) -> None:
    dataset = _save(folder / "a.npz", 1.0)
    fingerprint = load(dataset, settings).fingerprint
    assert load(dataset, settings, fingerprint).fingerprint == fingerprint
    _save(folder / "a.npz", 2.0)
    with pytest.raises(DatasetError, match="is not what it was at submit"):
        load(dataset, settings, fingerprint)


def test_the_cache_keeps_within_its_bytes_and_forgets_the_oldest(
    folder: Path, settings: Settings
) -> None:
    settings = settings.replace(cache_bytes=50_000)  # two datasets of some 20 kB
    a, b, c = (
        _save(folder / f"{name}.npz", value) for name, value in zip("abc", (1, 2, 3), strict=True)
    )
    used = load(a, settings)
    load(b, settings)
    time.sleep(0.02)
    load(a, settings)  # so that b is the oldest
    load(c, settings)
    stored = _stored(settings)
    assert sum(path.stat().st_size for path in stored) <= 50_000
    kept = [path.parent.name for path in stored]
    assert kept.count(used.fingerprint) == kept.count(load(c, settings).fingerprint) == 2
    assert len(kept) < 6
    load(b, settings)
    load(c, settings)
    assert used.x.sum() == 4000  # evicted while it was mapped, and still whole


def test_without_room_arrays_are_read_into_memory(folder: Path, settings: Settings) -> None:
    small = settings.replace(cache_bytes=100)
    arrays = load(_save(folder / "a.npz", 2.0), small)
    assert arrays.x.sum() == 8000 and _stored(small) == []
    assert not arrays.x.flags.writeable


def test_without_room_in_the_cache_or_memory_the_way_out_is_reported(
    folder: Path, settings: Settings
) -> None:
    tiny = settings.replace(cache_bytes=100, memory_bytes=1000)
    with pytest.raises(DatasetError, match="store it as HDF5, which is streamed"):
        load(_save(folder / "a.npz", 2.0), tiny)


def test_a_cache_that_cannot_be_written_is_done_without(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    arrays = load(_save(folder / "a.npz", 2.0), settings.replace(cache=str(tmp_path / "file")))
    assert arrays.x.sum() == 8000


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_truncate, _empty])
def test_a_damaged_entry_is_made_again(
    damage: Callable[[Path], None], folder: Path, settings: Settings
) -> None:
    dataset = _save(folder / "a.npz", 2.0)
    load(dataset, settings)
    for path in _stored(settings):
        damage(path)
    assert load(dataset, settings).x.sum() == 8000


def test_numbers_of_another_content_are_not_read_nor_kept(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = _save(folder / "a.npz", 1.0)
    first, second = (folder / "a.npz").read_bytes(), folder / "b.npz"
    _save(second, 2.0)
    real = arrays_module.open_source

    def while_it_is_another(*arguments: object) -> object:
        (folder / "a.npz").write_bytes(second.read_bytes())
        try:
            return real(*arguments)  # type: ignore[arg-type]
        finally:
            (folder / "a.npz").write_bytes(first)

    monkeypatch.setattr(arrays_module, "open_source", while_it_is_another)
    with pytest.raises(DatasetError, match="has changed while it was read"):
        load(dataset, settings)
    assert _stored(settings) == []


def test_large_blocks_come_back_whole(folder: Path, settings: Settings) -> None:
    data = np.random.default_rng(0).normal(size=(3000, 4000)).astype(np.float32)  # 48 MB
    with h5py.File(folder / "b.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(700, 1000))
        file["y"] = np.zeros(3000)
    np.testing.assert_array_equal(load(DatasetSpec(path="b.h5"), settings).x, data)
