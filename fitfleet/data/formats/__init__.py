"""One file a format; `open_source` chooses by the file's name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fitfleet.data.formats.source import Array, Header, Leaf, Source
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings

SUFFIXES = (".h5", ".hdf5", ".npz", ".csv", ".parquet")

__all__ = ["SUFFIXES", "Array", "Header", "Leaf", "Source", "open_source"]


def open_source(path: Path | None, files: Mapping[str, Path], settings: Settings) -> Source:
    """Open a dataset: one file, or `.npy` files by name. Raises DatasetError, MissingExtraError."""
    cap = settings.max_dataset_bytes
    if path is None:
        from fitfleet.data.formats.npy import NpySource

        return NpySource(files, cap)
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        from fitfleet.data.formats.hdf5 import Hdf5Source

        return Hdf5Source(path, cap)
    if suffix == ".npz":
        from fitfleet.data.formats.npz import NpzSource

        return NpzSource(path, cap)
    table_cap = min(cap, settings.memory_bytes)  # a table is parsed in memory
    if suffix == ".csv":
        from fitfleet.data.formats.csv import CsvSource

        return CsvSource(path, table_cap)
    if suffix == ".parquet":
        from fitfleet.data.formats.parquet import ParquetSource

        return ParquetSource(path, table_cap)
    raise DatasetError(unknown_suffix(path))


def unknown_suffix(path: Path) -> str:
    """The sentence for a file whose name tells no known format."""
    if path.suffix.lower() == ".npy":
        return (
            f"{path}: a .npy file is one array; give the pair as"
            " files={'x': 'x.npy', 'y': 'y.npy'}"
        )
    known = ", ".join(SUFFIXES)
    return f"{path}: unknown format {path.suffix or 'without a suffix'!r}; known are {known}, .npy"
