"""One file per format; `open_source` chooses by the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from fitfleet.data.formats.file import DataFile
from fitfleet.data.formats.options import TableOptions
from fitfleet.data.formats.source import Array, Header, Leaf, Source
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError

FORMATS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".mat": "hdf5",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "tsv",
    ".csv.gz": "csv.gz",
    ".tsv.gz": "tsv.gz",
    ".parquet": "parquet",
}

_DEFAULT = TableOptions()
_START_BYTES = 8
_STARTS = {
    "npy": (b"\x93NUMPY",),
    "parquet": (b"PAR1",),
    "csv.gz": (b"\x1f\x8b",),
    "tsv.gz": (b"\x1f\x8b",),
}
_HDF5_START = b"\x89HDF\r\n\x1a\n"
# Other files can be read in the script, which then gives the arrays: dataset=(x, y).
_LOADED = "in your script and give the arrays, dataset=(x, y)"
_HINTS = {
    ".pkl": f"a pickle can run code and is never opened here: load it {_LOADED}",
    ".pickle": f"a pickle can run code and is never opened here: load it {_LOADED}",
    ".xlsx": f"read it with pandas.read_excel {_LOADED}",
    ".xls": f"read it with pandas.read_excel {_LOADED}",
    ".json": f"read it with pandas.read_json {_LOADED}",
    ".feather": f"read it with pandas.read_feather {_LOADED}",
    ".pt": f"load it {_LOADED}",
    ".zarr": f"its folder is read where a job is submitted; elsewhere, load it {_LOADED}",
    **dict.fromkeys(
        (".tfrecord", ".tfrecords"),
        "say what an example holds: ff.TFRecord(path, features={...}, x=..., y=...)",
    ),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg"),
        "give its folder, ff.ImageFolder(path), in which each folder is a class",
    ),
    ".txt": "give its folder, ff.TextFolder(path), in which each folder is a class",
    ".wav": "give its folder, ff.AudioFolder(path), in which each folder is a class",
    ".zip": "unpack it, and give the file that contains the arrays",
    ".gz": "only .csv.gz and .tsv.gz are unpacked: unpack it",
}
# The end record, and a comment of up to 64 KiB after it.
_ZIP_END, _ZIP_END_BYTES = b"PK\x05\x06", 22 + 2**16
_WORDS = {
    "npy": ".npy array",
    "parquet": "Parquet file",
    "csv.gz": "gzip file",
    "tsv.gz": "gzip file",
}

__all__ = [
    "Array",
    "DataFile",
    "Header",
    "Leaf",
    "Source",
    "TableOptions",
    "check_start",
    "format_of",
    "open_source",
]


def open_source(
    files: Mapping[str, DataFile], limits: Limits, options: TableOptions = _DEFAULT
) -> Source:
    """Open a dataset: one file under "", or `.npy` files by name.

    Raises DatasetError, MissingExtraError.
    """
    file = files.get("")
    if file is None:
        from fitfleet.data.formats.npy import NpySource

        return NpySource(files, limits)
    kind = format_of(file.path)
    if kind == "hdf5":
        from fitfleet.data.formats.hdf5 import Hdf5Source

        return Hdf5Source(file, limits)
    if kind == "npz":
        from fitfleet.data.formats.npz import NpzSource

        return NpzSource(file, limits)
    if kind == "parquet":
        from fitfleet.data.formats.parquet import ParquetSource

        return ParquetSource(file, limits, options)
    from fitfleet.data.formats.csv import CsvSource

    return CsvSource(file, limits, options)


def format_of(path: Path) -> str:
    """The format, by the suffix of the file's name. Raises DatasetError for an unknown one."""
    name = path.name.lower()
    if name.endswith(".npy"):
        return "npy"
    for suffix, kind in FORMATS.items():
        if name.endswith(suffix):
            return kind
    hint = f"; {_HINTS[path.suffix.lower()]}" if path.suffix.lower() in _HINTS else ""
    raise DatasetError(
        f"{path}: unknown format {path.suffix or 'without a suffix'!r}; known are"
        f" {', '.join(FORMATS)}, .npy{hint}"
    )


def check_start(path: Path, file: IO[bytes], kind: str) -> None:
    """Raise DatasetError for a file whose first bytes are not those of its format."""
    if kind == "hdf5":
        _check_hdf5_start(path, file)
    elif kind == "npz":
        _check_zip_end(path, file)
    elif kind in _STARTS:
        file.seek(0)
        if not file.read(_START_BYTES).startswith(_STARTS[kind]):
            raise DatasetError(
                f"{path}: not a readable {_WORDS[kind]}: it does not begin as one; save it again"
            )


def _check_zip_end(path: Path, file: IO[bytes]) -> None:
    """A zip archive is recognized by its last bytes; any bytes may precede it."""
    file.seek(max(0, file.seek(0, 2) - _ZIP_END_BYTES))
    if _ZIP_END not in file.read():
        raise DatasetError(
            f"{path}: not a readable .npz file: it does not end as one; save it again"
        )


def _check_hdf5_start(path: Path, file: IO[bytes]) -> None:
    """The signature is at the start, or at 512, 1024, 2048, ... after a user block."""
    offset, size = 0, file.seek(0, 2)
    while offset < size:
        file.seek(offset)
        if file.read(len(_HDF5_START)) == _HDF5_START:
            return _check_matlab(path, file, offset)
        offset = offset * 2 or 512
    file.seek(0)
    if file.read(8) == b"MATLAB 5":
        raise DatasetError(
            f"{path}: is of MATLAB's older format, and only v7.3 is read (it is HDF5): save it with"
            f" '-v7.3', or read it with scipy.io.loadmat {_LOADED}"
        )
    raise DatasetError(
        f"{path}: not a readable HDF5 file: it does not begin as one; save it again, or give it the"
        " suffix of its format"
    )


def _check_matlab(path: Path, file: IO[bytes], block_bytes: int) -> None:
    """MATLAB reverses the axes, so its files must have the suffix .mat, and no others."""
    file.seek(0)
    is_of_matlab = block_bytes > 0 and file.read(6) == b"MATLAB"
    is_named_so = path.suffix.lower() == ".mat"
    if is_of_matlab and not is_named_so:
        raise DatasetError(
            f"{path}: is a MATLAB v7.3 file, whose axes are reversed; give it the suffix .mat"
        )
    if is_named_so and not is_of_matlab:
        raise DatasetError(
            f"{path}: was not written by MATLAB, which reverses axes; give it the suffix .h5"
        )
