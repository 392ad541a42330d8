"""TFRecord files without TensorFlow: the frames of records, and the examples in them.

The format: https://www.tensorflow.org/tutorials/load_data/tfrecord; `tf.train.Example` is three
small protocol buffer messages. Nothing in a file is trusted: lengths are compared with the file,
checksums are verified, and a malformed field raises DatasetError.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.decoding.crc32c import masked_crc32c
from fitfleet.data.files.location import open_regular
from fitfleet.data.formats.source import Array
from fitfleet.errors import DatasetError

MAX_RECORD_BYTES = 256 * 2**20
_BATCH_BYTES = 4 * 2**20
_HEAD, _FOOT = 12, 4
# Kinds of fields of protocol buffers.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Values = Array | list[bytes]


class _BadExample(Exception):
    """What is wrong with an example; `examples` adds its file and number."""


def examples(
    path: Path, wanted: frozenset[str], compression: str | None, max_bytes: int
) -> Iterator[dict[str, Values]]:
    """Those of the features `wanted` that each example of a file has. Raises DatasetError."""
    number = 0
    for batch in _batches(path, compression, max_bytes):
        sums = masked_crc32c([data for data, _ in batch])
        for (data, stated), computed in zip(batch, sums, strict=True):
            number += 1
            if stated != computed:
                raise DatasetError(
                    f"{path}: record {number:,} is damaged: its checksum is another; save it again"
                )
            try:
                features = _example(memoryview(data), wanted)
            except (_BadExample, IndexError, ValueError, struct.error) as error:
                words = str(error) if isinstance(error, _BadExample) else "it is truncated"
                raise DatasetError(
                    f"{path}: record {number:,} is not a tf.train.Example: {words}"
                ) from None
            yield features


def _batches(path: Path, compression: str | None, max_bytes: int) -> Iterator[list[Any]]:
    """[(data, checksum)] of some MiB at a time."""
    batch: list[tuple[bytes, int]] = []
    waiting = 0
    for record in _records(path, compression, max_bytes):
        batch.append(record)
        waiting += len(record[0])
        if waiting >= _BATCH_BYTES:
            yield batch
            batch, waiting = [], 0
    if batch:
        yield batch


def _records(path: Path, compression: str | None, max_bytes: int) -> Iterator[tuple[bytes, int]]:
    read, number = 0, 0
    with open_regular(path) as raw:
        file: Any = gzip.GzipFile(fileobj=raw) if compression else raw
        try:
            while head := file.read(_HEAD):
                number += 1
                length = _length(path, number, head)
                read += _HEAD + _FOOT + length
                if read > max_bytes:
                    raise DatasetError(
                        f"{path}: contains more than {max_bytes:,} bytes, the setting"
                        " max_dataset_bytes; raise it"
                    )
                data, foot = file.read(length), file.read(_FOOT)
                if len(data) < length or len(foot) < _FOOT:
                    raise DatasetError(
                        f"{path}: ends in the middle of record {number:,}; save it again"
                    )
                yield data, struct.unpack("<I", foot)[0]
        except (OSError, EOFError, zlib.error) as error:
            raise DatasetError(f"{path}: cannot be unpacked: {error}; save it again") from None


def _length(path: Path, number: int, head: bytes) -> int:
    is_whole = len(head) == _HEAD
    if not is_whole or masked_crc32c([head[:8]])[0] != struct.unpack("<I", head[8:])[0]:
        hint = "; of packed files say compression='GZIP'" if head[:2] == b"\x1f\x8b" else ""
        what = "is not a TFRecord file" if number == 1 else f"is damaged at record {number:,}"
        raise DatasetError(f"{path}: {what}{hint}")
    length: int = struct.unpack("<Q", head[:8])[0]
    if length > MAX_RECORD_BYTES:
        raise DatasetError(
            f"{path}: record {number:,} has {length:,} bytes, at most {MAX_RECORD_BYTES:,} are read"
        )
    return length


def _example(data: memoryview, wanted: frozenset[str]) -> dict[str, Values]:
    """Example {features = 1: Features {feature = 1: map of name = 1 to Feature = 2}}."""
    values_of: dict[str, Values] = {}
    for features in _parts(data, 1):
        for entry in _parts(features, 1):
            name = next(_parts(entry, 1), memoryview(b"")).tobytes().decode("utf-8", "replace")
            if name in wanted:
                values_of[name] = _feature(next(_parts(entry, 2), memoryview(b"")))
    return values_of


def _feature(data: memoryview) -> Values:
    """Feature {bytes_list = 1 | float_list = 2 | int64_list = 3}, each {value = 1}."""
    for number, kind, body in _fields(data):
        if kind != _BYTES:
            raise _BadExample("a feature is not a list")
        if number == 1:
            return [part.tobytes() for part in _parts(body, 1)]
        if number == 2:
            return _floats(body)
        if number == 3:
            return _integers(body)
    return []


def _floats(data: memoryview) -> Array:
    parts = [body for number, kind, body in _fields(data) if number == 1 and kind != _VARINT]
    return np.frombuffer(b"".join(parts), "<f4")


def _integers(data: memoryview) -> Array:
    values: list[int] = []
    for number, kind, body in _fields(data):
        if number != 1:
            continue
        if kind == _VARINT:
            values.append(body)
            continue
        place = 0
        while place < len(body):
            value, place = _varint(body, place)
            values.append(value)
    return np.array(values, np.uint64).astype(np.int64)


def _parts(data: memoryview, wanted: int) -> Iterator[memoryview]:
    return (body for number, kind, body in _fields(data) if number == wanted and kind == _BYTES)


def _fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(number, kind, value or bytes) of each field of a message."""
    place, end = 0, len(data)
    while place < end:
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield number, kind, value
            continue
        if kind == _BYTES:
            size, place = _varint(data, place)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise _BadExample(f"it has a field of kind {kind}")
        if size > end - place:
            raise _BadExample("it is truncated")
        yield number, kind, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), place
        shift += 7
    raise _BadExample("it has a number of more than 64 bits")


def row_of(name: str, values: Values, feature: Mapping[str, Any]) -> Array:
    """The values of one example as its row, in the feature's dtype and shape. Raises ValueError."""
    dtype, shape = feature["dtype"], feature["shape"]
    if isinstance(values, list) and values and dtype != "bytes":
        raise ValueError(f"{name!r} contains bytes, not {dtype}")
    row = np.asarray(values, dtype)
    if isinstance(values, np.ndarray) and len(values) and values.dtype != row.dtype:
        raise ValueError(f"{name!r} contains {values.dtype}, not {dtype}")
    if shape is None:
        return row
    if row.size != int(np.prod(shape)):
        raise ValueError(f"{name!r} has {row.size} values, not those of the shape {tuple(shape)}")
    return row.reshape(shape)
