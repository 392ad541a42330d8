"""Arrays of a Zarr folder (formats 2 and 3) into one HDF5 file, chunk by chunk.

The metadata is read here before the library `zarr` opens an array: only numbers, only
codecs that compress numbers (numcodecs has one that unpickles), and only what the limits allow.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import BLOCK_BYTES, FREE_BYTES, MAX_EXPANSION
from fitfleet.errors import DatasetError, MissingExtraError

_MAX_METADATA_BYTES = 2**20
_MAX_CHUNKS = 1_000_000
_CODECS = (
    *("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd", "shuffle", "delta"),
    *("crc32", "crc32c", "bytes", "transpose", "sharding_indexed"),
)
_METADATA = (".zarray", "zarr.json")


class _Array(NamedTuple):
    name: str
    path: Path
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]


def convert_zarr(
    folder: Path, target: Path, max_bytes: int, on_done: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write the file: {"digest": hex}. The name of an array is its path in the folder.

    Raises DatasetError for a folder without arrays, for other codecs, and above `max_bytes`.
    """
    import h5py

    try:
        import zarr
    except ImportError:
        raise MissingExtraError("zarr", "zarr") from None
    arrays = list(_arrays(folder))
    if not arrays:
        raise DatasetError(f"{folder}: contains no Zarr arrays of numbers")
    _check_bytes(folder, arrays, max_bytes)
    digest, done = hasher(), 0
    count = sum(-(-array.shape[0] // _rows(array)) for array in arrays)
    with h5py.File(target, "w") as file:
        for array in arrays:
            source = zarr.open_array(str(array.path), mode="r")
            written = file.create_dataset(
                array.name, array.shape, array.dtype, chunks=_chunks(array)
            )
            digest.update(f"{array.name} {array.dtype.str} {array.shape}".encode())
            for start in range(0, array.shape[0], _rows(array)):
                on_done(done, count)
                done += 1
                block = np.asarray(source[start : start + _rows(array)], array.dtype)
                written[start : start + len(block)] = block
                digest.update(np.ascontiguousarray(block).tobytes())
    return {"digest": digest.hexdigest()}


def _arrays(folder: Path) -> Iterator[_Array]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        name = next((candidate for candidate in _METADATA if candidate in files), None)
        metadata = None if name is None else _metadata(Path(root) / name)
        if metadata is None or (name == "zarr.json" and metadata.get("node_type") != "array"):
            continue
        folders.clear()  # the rest are its chunks
        inside = os.path.relpath(root, folder)
        yield _described(
            metadata, "x" if inside == "." else inside.replace(os.sep, "/"), Path(root)
        )


def _metadata(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        text = file.read(_MAX_METADATA_BYTES + 1)
    try:
        document = json.loads(text) if len(text) <= _MAX_METADATA_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DatasetError(f"{path}: is not metadata of Zarr; write the folder again")
    return document


def _described(metadata: Mapping[str, Any], name: str, path: Path) -> _Array:
    is_old = metadata.get("zarr_format") == 2
    if is_old:
        codecs = [*(metadata.get("filters") or ()), metadata.get("compressor")]
        chunk, kind = metadata.get("chunks"), metadata.get("dtype")
    else:
        codecs, kind = metadata.get("codecs") or [], metadata.get("data_type")
        grid = metadata.get("chunk_grid") or {}
        chunk = (grid.get("configuration") or {}).get("chunk_shape")
        if metadata.get("storage_transformers"):
            raise DatasetError(f"{path}: has storage transformers, which are not read")
    _check_codecs(codecs, path)
    shape = metadata.get("shape")
    for sizes in (shape, chunk):
        if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes):
            raise DatasetError(f"{path}: has a shape that is none; write the folder again")
    assert isinstance(shape, list) and isinstance(chunk, list)
    if not shape or len(shape) != len(chunk) or 0 in chunk or len(shape) > 32:
        raise DatasetError(f"{path}: has the shape {shape}; an array has a row for each sample")
    return _Array(name, path, tuple(shape), tuple(chunk), _dtype(kind, path))


def _dtype(kind: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype = np.dtype(kind) if isinstance(kind, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "fiub":
        raise DatasetError(
            f"{path}: contains {str(kind)[:40]!r}, not numbers; give an array of numbers,"
            f" or texts as"
            " arrays of your script"
        )
    return dtype.newbyteorder("=")


def _check_codecs(codecs: Any, path: Path) -> None:
    """Raise DatasetError for a codec, also inside a shard, that is not in _CODECS."""
    if not isinstance(codecs, list):
        raise DatasetError(f"{path}: has codecs that are no list; write the folder again")
    for codec in codecs:
        if codec is None:
            continue
        name = codec.get("id") or codec.get("name") if isinstance(codec, dict) else codec
        if name not in _CODECS:
            raise DatasetError(
                f"{path}: is packed by {str(name)[:40]!r}, which is not read here; write it with"
                " zstd, blosc or gzip"
            )
        options = codec.get("configuration") if isinstance(codec, dict) else None
        for more in ("codecs", "index_codecs"):
            if isinstance(options, dict) and more in options:
                _check_codecs(options[more], path)


def _check_bytes(folder: Path, arrays: Sequence[_Array], max_bytes: int) -> None:
    nbytes = sum(prod(array.shape) * array.dtype.itemsize for array in arrays)
    if nbytes > max_bytes:
        raise DatasetError(
            f"{folder}: unpacks to {nbytes:,} bytes, above the setting max_dataset_bytes="
            f"{max_bytes:,}; raise it"
        )
    for array in arrays:
        chunk_bytes = prod(array.chunk) * array.dtype.itemsize
        chunks = prod(-(-size // part) for size, part in zip(array.shape, array.chunk, strict=True))
        if chunk_bytes > 2 * BLOCK_BYTES + 256 * 2**20 or chunks > _MAX_CHUNKS:
            raise DatasetError(
                f"{array.path}: has {chunks:,} chunks of {chunk_bytes:,} bytes; write it with"
                " chunks of some MiB"
            )
    stored = sum(
        os.lstat(os.path.join(root, name)).st_size
        for root, _, names in os.walk(folder)
        for name in names
    )
    if nbytes > FREE_BYTES and nbytes > MAX_EXPANSION * stored:
        raise DatasetError(
            f"{folder}: unpacks to {nbytes:,} bytes, of which {stored:,} are stored; write the data"
            " into it"
        )


def _rows(array: _Array) -> int:
    """The number of rows read at once: whole chunks, of about BLOCK_BYTES."""
    row_bytes = max(1, prod(array.shape[1:]) * array.dtype.itemsize)
    return max(1, BLOCK_BYTES // row_bytes // array.chunk[0]) * array.chunk[0]


def _chunks(array: _Array) -> tuple[int, ...] | None:
    """Chunks of the HDF5 file: whole rows of about a MiB. None for an array without values."""
    if 0 in array.shape:
        return None
    row_bytes = prod(array.shape[1:]) * array.dtype.itemsize
    return (max(1, min(array.shape[0], 2**20 // row_bytes)), *array.shape[1:])
