from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitfleet.data.arrays import load
from fitfleet.data.description.description import describe
from fitfleet.data.files import fingerprint as module
from fitfleet.data.files.fingerprint import Stamp, read_content
from fitfleet.data.files.location import Location
from fitfleet.data.limits import Limits
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _fingerprint(path: Path, cache: Path) -> str:
    return read_content(Location(path, {}), cache, Limits.of(Settings())).fingerprint


def test_the_fingerprint_is_that_of_content_and_format(tmp_path: Path, cache: Path) -> None:
    data = np.random.default_rng(0).bytes(3 * 2**20 + 5)  # several blocks
    fingerprints = {}
    for name, content in (
        ("a.csv", data),
        ("b.csv", data),
        ("c.csv", data[:-1]),
        ("d.csv", data[2**20 : 2 * 2**20] + data[: 2**20] + data[2 * 2**20 :]),
        ("e.parquet", b"PAR1" + data),
        ("e.npz", data + b"PK\x05\x06" + bytes(18)),
    ):
        (tmp_path / name).write_bytes(content)
        fingerprints[name] = _fingerprint(tmp_path / name, cache)
    assert fingerprints["a.csv"] == fingerprints["b.csv"]
    assert len(set(fingerprints.values())) == 5


def test_one_file_under_two_formats_is_two_datasets(folder: Path, settings: Settings) -> None:
    with h5py.File(folder / "d.h5", "w", userblock_size=512) as file:
        file["x"] = np.zeros((6, 1))
        file["y"] = np.zeros(6)
    with zipfile.ZipFile(folder / "d.h5", "a") as archive:
        for name, value in (("x", 777.0), ("y", 5.0)):
            buffer = io.BytesIO()
            np.save(buffer, np.full((6, 1), value))
            archive.writestr(f"{name}.npy", buffer.getvalue())
    (folder / "d.npz").write_bytes((folder / "d.h5").read_bytes())
    hdf5, npz = (load(DatasetSpec(path=name), settings) for name in ("d.h5", "d.npz"))
    assert hdf5.fingerprint != npz.fingerprint
    assert (hdf5.x.max(), npz.x.max()) == (0, 777)


def test_a_rewrite_of_equal_size_is_seen_even_within_the_clock_tick(
    tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "a.csv"
    seen = set()
    for number in range(50):  # far faster than the clock of many file systems
        path.write_bytes(b"%03d" % number)
        os.utime(path, ns=(10**18, 10**18))  # as a copy that keeps the times does
        seen.add(_fingerprint(path, cache))
    assert len(seen) == 50
    assert not (cache / "index").exists()  # nothing so young is remembered


def test_a_settled_file_is_hashed_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"content")
    monkeypatch.setattr(module, "SETTLED_NS", -1)
    first = _fingerprint(path, cache)
    monkeypatch.setattr(module, "_hash", lambda *_: pytest.fail("it was read again"))
    assert _fingerprint(path, cache) == first


def test_an_index_that_cannot_be_used_only_costs_time(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"content")
    cache.write_text("a file where the folder should be")
    assert len(_fingerprint(path, cache)) == 64


def test_stamps_settle_after_two_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"content")
    stamp = Stamp.of(path)
    changed_ns = max(stamp.mtime_ns, stamp.ctime_ns)
    assert not stamp.is_settled(changed_ns + 10**9)
    assert stamp.is_settled(changed_ns + 3 * 10**9)


def test_names_of_npy_files_are_part_of_the_content(folder: Path, settings: Settings) -> None:
    np.save(folder / "a.npy", np.zeros((3, 1)))
    np.save(folder / "b.npy", np.ones((3, 1)))
    described = describe(DatasetSpec(files={"x": "a.npy", "y": "b.npy"}), settings)
    other = describe(DatasetSpec(files={"x": "b.npy", "y": "a.npy"}), settings)
    assert (
        described is not None and other is not None and described.fingerprint != other.fingerprint
    )


def test_ten_thousand_descriptions_take_less_than_a_second(
    folder: Path, settings: Settings
) -> None:
    np.savez(folder / "a.npz", x=np.zeros((50, 4)), y=np.zeros(50))
    dataset = DatasetSpec(path="a.npz")
    first = describe(dataset, settings)
    time.sleep(2.2)  # until then a young file is hashed at each call
    describe(dataset, settings)
    start = time.process_time()
    for _ in range(10_000):
        assert describe(dataset, settings) == first
    assert time.process_time() - start < 1.0


def test_a_changed_file_is_described_anew(folder: Path, settings: Settings) -> None:
    for rows in (5, 6, 7):
        np.savez(folder / "a.npz", x=np.zeros((rows, 4)), y=np.zeros(rows))
        info = describe(DatasetSpec(path="a.npz"), settings)
        assert info is not None and info.rows == rows
