"""Files that end the process which reads them end the one that is there for that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitfleet.data.arrays import load
from fitfleet.data.description.description import describe
from fitfleet.data.inspection import checker
from fitfleet.data.inspection.checker import check_hdf5
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

DAMAGED = Path(__file__).parent / "damaged"


@pytest.fixture(autouse=True)
def _own_process() -> None:
    checker._drop()


def _good(path: Path) -> DatasetSpec:
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(8.0).reshape(4, 2)
        file["y"] = np.zeros(4)
    return DatasetSpec(path=path.name)


@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        ("group.h5", {}, "did not survive it .*SIG.*; the file is damaged, save it again"),
        ("rows.h5", {"x": "x", "y": "y"}, r"uses the filter 3 \(fletcher32\)"),
    ],
)
def test_files_that_crash_hdf5_are_refused_in_one_sentence(
    name: str, given: dict[str, str], problem: str, folder: Path, settings: Settings
) -> None:
    shutil.copy(DAMAGED / name, folder / name)
    good = _good(folder / "good.h5")
    for _ in range(2):  # in a fresh process, and in one that has read another file
        with pytest.raises(DatasetError, match=problem) as caught:
            describe(DatasetSpec(path=name, **given), settings)
        assert "\n" not in str(caught.value)
        assert load(good, settings).x.sum() == 28


def test_a_process_that_is_killed_is_followed_by_another(folder: Path, settings: Settings) -> None:
    describe(_good(folder / "a.h5"), settings)
    assert checker._current is not None
    checker._current._process.kill()
    checker._current._process.wait()
    info = describe(_good(folder / "b.h5"), settings)
    assert info is not None and info.rows == 4


def test_a_file_that_does_not_get_on_is_refused(folder: Path, settings: Settings) -> None:
    hurried = settings.replace(check_stall_s=0.5)
    process = checker._process(Limits.of(hurried))
    process._ready()
    os.kill(process._process.pid, signal.SIGSTOP)
    with pytest.raises(
        DatasetError, match=r"made no progress for 0\.5 s \(setting check_stall_s\)"
    ):
        describe(_good(folder / "a.h5"), hurried)
    info = describe(_good(folder / "b.h5"), settings)
    assert info is not None and info.rows == 4


def test_more_memory_than_is_allowed_is_refused(folder: Path, settings: Settings) -> None:
    whole = np.lib.format.open_memmap(
        folder / "x.npy", "w+", np.uint8, (30 * 2**20, 2), fortran_order=True
    )
    whole.flush()
    del whole  # while it is there the file counts as open for writing
    np.save(folder / "y.npy", np.zeros(30 * 2**20, np.uint8))
    dataset = DatasetSpec(files={"x": "x.npy", "y": "y.npy"})
    with pytest.raises(DatasetError, match=r"takes more than .* check_memory_bytes; raise it"):
        describe(dataset, settings.replace(check_memory_bytes=150 * 2**20))


def test_a_file_that_is_open_for_writing_is_refused(folder: Path, settings: Settings) -> None:
    dataset = _good(folder / "a.h5")
    with (
        h5py.File(folder / "a.h5", "a"),
        pytest.raises(DatasetError, match="is still open for writing"),
    ):
        describe(dataset, settings)
    (folder / "t.csv").write_text("x,y\n1,2\n")
    with (
        (folder / "t.csv").open("a"),
        pytest.raises(DatasetError, match="is still open for writing"),
    ):
        describe(DatasetSpec(path="t.csv"), settings)
    assert describe(dataset, settings) is not None


def test_a_fork_starts_a_process_of_its_own(folder: Path, settings: Settings) -> None:
    dataset = _good(folder / "a.h5")
    describe(dataset, settings)
    code = f"""
import os
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec
from fitfleet.data.inspection import checker
from fitfleet.data.description.description import describe
settings = Settings(data_root={str(folder)!r}, cache={str(folder / "other")!r})
describe(DatasetSpec(path="a.h5"), settings)
first = checker._current._process.pid
if os.fork() == 0:
    assert describe(DatasetSpec(path="a.h5"), settings.replace(cache="d")).rows == 4
    assert checker._current._process.pid != first
    checker._drop()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
assert describe(DatasetSpec(path="a.h5"), settings.replace(cache="c")).rows == 4
assert checker._current._process.pid == first
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, timeout=60)


def test_modules_beside_the_data_are_not_imported(folder: Path, settings: Settings) -> None:
    _good(folder / "a.h5")
    for name in ("json.py", "h5py.py"):
        (folder / name).write_text("raise SystemExit('imported')")
    code = f"""
import numpy, h5py, json, os, sys
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec
from fitfleet.data.description.description import describe
os.chdir({str(folder)!r})
sys.path.insert(0, {str(folder)!r})
settings = Settings(data_root={str(folder)!r}, cache="c")
assert describe(DatasetSpec(path="a.h5"), settings).rows == 4
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _weights(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((3, 4), "f4")
        file["_job/document"] = np.frombuffer(b"{}", np.uint8)
        file["layers/dense"].attrs["name"] = "dense"


def _linked(path: Path) -> None:
    _weights(path)
    with h5py.File(path, "a") as file:
        file["layers/more"] = h5py.ExternalLink("other.h5", "/x")


def _soft(path: Path) -> None:
    _weights(path)
    with h5py.File(path, "a") as file:
        file["layers/more"] = h5py.SoftLink("/layers/dense")


def _external(path: Path) -> None:
    _weights(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("more", (8,), "u1", external=[("/etc/passwd", 0, 8)])


def _expanding(path: Path) -> None:
    _weights(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("more", data=np.zeros(2**27, "u1"), compression="gzip", chunks=True)


def _deep(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["/".join("a" * 50)] = 1.0


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_linked, "layers/more: is an external link to other.h5, which is refused"),
        (_soft, "is a soft link"),
        (_external, "external storage"),
        (_expanding, "expansion is refused"),
        (_deep, "deeper than"),
        (lambda path: shutil.copy(DAMAGED / "group.h5", path), "cannot be read"),
        (lambda path: path.write_bytes(b"words"), "does not begin as one"),
        (lambda path: path.write_bytes(b""), "does not begin as one|is empty"),
        (lambda path: os.mkfifo(path), "is not a file"),
    ],
)
def test_weights_that_are_refused(
    make: Callable[[Path], None], problem: str, tmp_path: Path, settings: Settings
) -> None:
    make(tmp_path / "w.weights.h5")
    with pytest.raises(DatasetError, match=problem) as caught:
        check_hdf5(tmp_path / "w.weights.h5", settings)
    assert "\n" not in str(caught.value)


def test_weights_are_read_through_once(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "w.weights.h5"
    _weights(path)
    os.utime(path, ns=(10**18, 10**18))
    time.sleep(2.1)  # until its stamp tells a change
    check_hdf5(path, settings)
    checker._drop()
    check_hdf5(path, settings)
    assert checker._current is None
    _linked(path)
    with pytest.raises(DatasetError, match="external link"):
        check_hdf5(path, settings)
