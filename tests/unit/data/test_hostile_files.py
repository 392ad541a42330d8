"""Files made by hand to read what they must not, or to fill memory."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitfleet.data.description.description import describe
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

SECRET = b"root:x:0:0:" * 10


def _external_link(path: Path) -> None:
    with h5py.File(path.with_name("victim.h5"), "w") as file:
        file["x"] = np.zeros((4, 2))
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("victim.h5", "/x")


def _external_link_as_group(path: Path) -> None:
    with h5py.File(path.with_name("victim.h5"), "w") as file:
        file["inside/x"] = np.zeros((4, 2))
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("victim.h5", "/inside")


def _external_storage(path: Path) -> None:
    secret = path.with_name("passwd")
    secret.write_bytes(SECRET)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (8,), "u1", external=[(str(secret), 0, 8)])


def _soft_link(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["real"] = np.zeros((4, 2))
        file["x"] = h5py.SoftLink("/real")


def _virtual(path: Path) -> None:
    victim = path.with_name("victim.h5")
    with h5py.File(victim, "w") as file:
        file["x"] = np.zeros((4, 2))
    layout = h5py.VirtualLayout((4, 2), "f8")
    layout[:] = h5py.VirtualSource(str(victim), "x", (4, 2))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)


def _never_stored(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (10**6, 1000), "f4", chunks=(1000, 1000))


def _bomb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = np.zeros((100, 2**20), "u1")
        file.create_dataset("x", data=data, chunks=(1, 2**20), compression="gzip")


def _too_large(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**50,), "f8", chunks=(1024,))


def _large_chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (4, 300, 2**20), "u1", chunks=(1, 300, 2**20))
        data[0, 0, 0] = 1


def _foreign_filter(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(64).reshape(8, 8), scaleoffset=0)


def _compound(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(4, [("a", "f4"), ("b", "i4")])


def _long_row(path: Path) -> None:
    """A million rows, each padded to the one that is long."""
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("x", (10_000,), h5py.vlen_dtype("f4"), chunks=(1000,))
        rows[0] = np.zeros(100_000, "f4")


def _matlab(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        file["x"] = np.zeros((4, 4))
    with path.open("r+b") as plain:
        plain.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def _complex(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(4, "complex64")


def _scalar(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = 1.0


def _seven_dimensions(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((1,) * 7)


def _group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("x/more")


def _no_space(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = h5py.Empty("f4")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_external_link, "'x' is an external link to victim.h5, which is refused"),
        (_external_link_as_group, "external link"),
        (_external_storage, "external storage"),
        (_soft_link, "'x' is a soft link"),
        (_virtual, "virtual dataset"),
        (_never_stored, "expansion is refused"),
        (_bomb, "expansion is refused"),
        (_too_large, "max_dataset_bytes"),
        (_large_chunk, "smaller chunks"),
        (_foreign_filter, "uses the filter 6"),
        (_compound, "a table of the fields a, b, not numbers; name one of them, such as"),
        (_matlab, "MATLAB v7.3 file, whose axes are reversed"),
        (_long_row, "expansion is refused"),
        (_complex, "not numbers"),
        (_scalar, "has 0 dimensions"),
        (_seven_dimensions, "has 7 dimensions"),
        (_group, "is not an array"),
        (_no_space, "is not an array"),
    ],
)
def test_a_hostile_hdf5_file_is_rejected(
    make: Callable[[Path], None], problem: str, folder: Path, settings: Settings
) -> None:
    path = folder / "hostile.h5"
    make(path)
    with h5py.File(path, "a") as file:
        file["y"] = np.zeros(4)
    with pytest.raises(DatasetError, match=problem):
        describe(DatasetSpec(path="hostile.h5", x="x", y="y"), settings)


def test_a_link_on_the_way_is_refused_too(folder: Path, settings: Settings) -> None:
    _external_link_as_group(folder / "hostile.h5")
    with pytest.raises(DatasetError, match="external link"):
        describe(DatasetSpec(path="hostile.h5", x="x/x", y="x/x"), settings)


@pytest.mark.parametrize("name", ["x\0", "x\0y", "g\0/x"])
def test_a_name_does_not_end_at_a_zero_byte(name: str, folder: Path, settings: Settings) -> None:
    """HDF5 takes what stands before it for the name."""
    with h5py.File(folder / "d.h5", "w") as file:
        file["x"], file["g/x"], file["y"] = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros(3)
    with pytest.raises(DatasetError, match=r"has no array .*; it contains g/x, x, y"):
        describe(DatasetSpec(path="d.h5", x=name, y="y"), settings)


def test_groups_that_hold_each_other_are_walked_once(folder: Path, settings: Settings) -> None:
    with h5py.File(folder / "loop.h5", "w") as file:
        file["g/x"] = np.zeros((3, 2))
        file["g/y"] = np.zeros(3)
        file["g/again"] = file["g"]
    with pytest.raises(DatasetError, match="it contains g/x, g/y;"):
        describe(DatasetSpec(path="loop.h5"), settings)
    info = describe(DatasetSpec(path="loop.h5", x="g/x", y="g/y"), settings)
    assert info is not None and info.rows == 3


def test_a_group_of_too_many_objects_is_refused_before_they_are_listed(
    folder: Path, settings: Settings
) -> None:
    with h5py.File(folder / "many.h5", "w", libver="latest") as file:
        file["x"], file["y"] = np.zeros((3, 2)), np.zeros(3)
        for number in range(10_000):
            file[f"g{number}"] = file["x"]
    with pytest.raises(DatasetError, match="its group / contains 10,002 objects, at most 10,000"):
        describe(DatasetSpec(path="many.h5"), settings)


def _npy(header: str, data: bytes) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def _zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


class _Mark:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


GOOD = _saved(np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("members", "method", "problem"),
    [
        ({"x.npy": _saved(np.zeros(100 * 2**20, "u1"))}, zipfile.ZIP_DEFLATED, "expansion"),
        ({"../x.npy": GOOD}, zipfile.ZIP_STORED, "a member named '../x.npy'"),
        ({"/x.npy": GOOD}, zipfile.ZIP_STORED, "a member named '/x.npy'"),
        ({"x.py": b"import os"}, zipfile.ZIP_STORED, "a member named 'x.py'"),
        ({"x.npy": GOOD[:-8]}, zipfile.ZIP_STORED, "declares 64 bytes but 56 are stored"),
        ({"x.npy": GOOD + b"more"}, zipfile.ZIP_STORED, "declares 64 bytes but 68"),
        ({"x.npy": b"words"}, zipfile.ZIP_STORED, "not a readable .npy array"),
        ({"x.npy": GOOD}, zipfile.ZIP_LZMA, "foreign compression"),
        (
            {"x.npy": _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2)}", b"")},
            zipfile.ZIP_STORED,
            "declares the shape",
        ),
        (
            {"x.npy": _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (9**20,)}", b"")},
            zipfile.ZIP_STORED,
            "not a readable .npy array",
        ),
        (
            {"x.npy": _npy(f"{{'descr':'<f8','fortran_order':False,'shape':({9**19},)}}", b"")},
            zipfile.ZIP_STORED,
            "max_dataset_bytes",
        ),
        ({"x.npy": _saved(np.array(["a", "b"]))}, zipfile.ZIP_STORED, "not numbers"),
    ],
)
def test_a_hostile_npz_file_is_rejected(
    members: dict[str, bytes], method: int, problem: str, folder: Path, settings: Settings
) -> None:
    _zipped(folder / "hostile.npz", {**members, "y.npy": _saved(np.zeros(4))}, method)
    with pytest.raises(DatasetError, match=problem):
        describe(DatasetSpec(path="hostile.npz"), settings)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_pickled_objects_are_refused_and_not_run(
    suffix: str, folder: Path, settings: Settings
) -> None:
    mark = folder / "it-ran"
    header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"
    data = _npy(header, pickle.dumps([_Mark(mark)]))
    if suffix == ".npz":
        _zipped(folder / "p.npz", {"x.npy": data, "y.npy": GOOD})
        dataset = DatasetSpec(path="p.npz")
    else:
        (folder / "p.npy").write_bytes(data)
        (folder / "y.npy").write_bytes(GOOD)
        dataset = DatasetSpec(files={"x": "p.npy", "y": "y.npy"})
    with pytest.raises(DatasetError, match="pickled Python objects"):
        describe(dataset, settings)
    assert not mark.exists()


def test_a_damaged_member_is_refused(folder: Path, settings: Settings) -> None:
    path = folder / "d.npz"
    _zipped(path, {"x.npy": GOOD, "y.npy": _saved(np.zeros(4))}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"\x93NUMPY") + 150] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="cannot be decompressed"):
        describe(DatasetSpec(path="d.npz"), settings)


def test_two_members_of_one_name_are_refused(folder: Path, settings: Settings) -> None:
    with zipfile.ZipFile(folder / "t.npz", "w") as archive:
        archive.writestr("x.npy", GOOD)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", GOOD)
    with pytest.raises(DatasetError, match="two members named 'x'"):
        describe(DatasetSpec(path="t.npz"), settings)


def test_a_table_with_too_many_columns_is_refused(folder: Path, settings: Settings) -> None:
    names = ",".join(f"c{i}" for i in range(10_001))
    (folder / "wide.csv").write_text(names + "\n")
    with pytest.raises(DatasetError, match="10,001 columns"):
        describe(DatasetSpec(path="wide.csv"), settings)


def test_a_parquet_file_that_expands_is_refused(folder: Path, settings: Settings) -> None:
    import pyarrow
    from pyarrow import parquet

    zeros = pyarrow.array(np.zeros(10_000_000, "i8"))
    parquet.write_table(pyarrow.table({"x": zeros, "y": zeros}), folder / "bomb.parquet")
    with pytest.raises(DatasetError, match="expansion is refused"):
        describe(DatasetSpec(path="bomb.parquet"), settings)


def test_tables_above_the_memory_limit_are_refused(folder: Path, settings: Settings) -> None:
    (folder / "t.csv").write_text("x,y\n" + "1.5,0\n" * 1000)
    with pytest.raises(DatasetError, match="store it as HDF5"):
        describe(DatasetSpec(path="t.csv"), settings.replace(memory_bytes=1000))


def test_a_csv_name_is_never_a_url(folder: Path, settings: Settings) -> None:
    (folder / "http:").mkdir()
    (folder / "http:" / "t.csv").write_text("x,y\n1,0\n2,1\n")
    info = describe(DatasetSpec(path="http:/t.csv"), settings)
    assert info is not None and info.rows == 2


def test_a_pipe_is_not_read(folder: Path, settings: Settings) -> None:
    import os

    os.mkfifo(folder / "p.h5")
    with pytest.raises(DatasetError, match="is not a file"):
        describe(DatasetSpec(path="p.h5"), settings)
