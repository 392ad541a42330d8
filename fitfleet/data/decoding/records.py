"""Examples of TFRecord files into one HDF5 file, one array per feature, with a hash of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.decoding.decoder import UnreadableError
from fitfleet.data.decoding.tfrecord import Values, examples, row_of
from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import BLOCK_BYTES, Array
from fitfleet.data.formats.text import MAX_TEXT_BYTES
from fitfleet.errors import DatasetError

_CHUNK_BYTES = 2**20
_PROGRESS_EXAMPLES = 1000

OnDone = Callable[[int, int], None]


def convert_records(
    parts: Sequence[Mapping[str, Any]], target: Path, max_bytes: int, on_done: OnDone
) -> dict[str, Any]:
    """Write the file: {"digest": hex}.

    A part is {"suffix" of its arrays' names, "files", "features", "compression"}. `on_done` is
    called with (examples read, 0). Raises DatasetError for examples without these features, and
    above `max_bytes`.
    """
    import h5py

    digest = hasher()
    with h5py.File(target, "w") as file:
        for part in parts:
            digest.update(_write(file, part, max_bytes, on_done))
    return {"digest": digest.hexdigest()}


def _write(file: Any, part: Mapping[str, Any], max_bytes: int, on_done: OnDone) -> bytes:
    features = part["features"]
    columns = {
        name: _Column(file, f"{name}{part['suffix']}", name, feature)
        for name, feature in features.items()
    }
    names, count = frozenset(features), 0
    for text in part["files"]:
        path = Path(text)
        for number, example in enumerate(examples(path, names, part["compression"], max_bytes), 1):
            for name, column in columns.items():
                try:
                    column.add(example.get(name))
                except ValueError as error:
                    raise DatasetError(f"{path}: record {number:,}: {error}") from None
            count += 1
            if count % _PROGRESS_EXAMPLES == 0:
                on_done(count, 0)
                _check_bytes(columns, max_bytes)
    if not count:
        raise DatasetError(f"{part['files'][0]}: contains no examples")
    _check_bytes(columns, max_bytes)
    hashes = b"".join(column.close() for column in columns.values())
    return hashes


def _check_bytes(columns: Mapping[str, _Column], max_bytes: int) -> None:
    nbytes = sum(column.nbytes for column in columns.values())
    if nbytes > max_bytes:
        raise DatasetError(
            f"the examples are more than {nbytes:,} bytes, above the setting max_dataset_bytes="
            f"{max_bytes:,}; raise it, or leave features out"
        )


class _Column:
    """The rows of one feature; an array that grows, and grows wider with the longest row."""

    def __init__(self, file: Any, key: str, name: str, feature: Mapping[str, Any]) -> None:
        self._file, self._key, self._name, self._feature = file, key, name, feature
        self._read = _reader(name, feature)
        self._dataset: Any = None
        self._block: list[Array] = []
        self._block_bytes = self._done = self._longest = 0
        self._digest = hasher(f"{key} {sorted(feature.items())}".encode())

    @property
    def nbytes(self) -> int:
        """Bytes of the array, with the rows that are not written yet."""
        if self._dataset is None:
            return max(self._block_bytes, len(self._block) * self._longest)
        rows = self._done + len(self._block)
        row = prod(self._dataset.shape[1:]) * self._dataset.dtype.itemsize
        return int(rows * max(row, self._longest))

    def add(self, values: Values | None) -> None:
        """The next row. Raises ValueError."""
        if values is None or not len(values):
            values = self._absent()
        row = self._read(values)
        self._digest.update(len(row.tobytes()).to_bytes(8, "little") + row.tobytes())
        self._block.append(row)
        self._block_bytes += row.nbytes
        self._longest = max(self._longest, row.nbytes)
        # Texts are written at the end: their dtype is as wide as the longest.
        if self._block_bytes >= BLOCK_BYTES and row.dtype.kind != "S":
            self._flush()

    def close(self) -> bytes:
        """Write the remaining rows; the hash of all."""
        self._flush()
        return bytes(self._digest.digest())

    def _absent(self) -> Values:
        if self._feature["shape"] is None:
            return np.array([], self._feature["dtype"])
        if self._feature["default"] is None:
            raise ValueError(
                f"it has no {self._name!r}; give the feature a default, or leave it out"
            )
        size = prod(self._feature["shape"])
        return np.full(size, self._feature["default"], self._feature["dtype"])

    def _flush(self) -> None:
        if not self._block:
            return
        block = _stacked(self._block)
        if self._dataset is None:
            rows = _CHUNK_BYTES // max(16, block.nbytes // len(block))
            self._dataset = self._file.create_dataset(
                self._key,
                shape=(0, *block.shape[1:]),
                maxshape=(None,) * block.ndim,
                dtype=block.dtype,
                chunks=(max(1, rows), *(max(1, n) for n in block.shape[1:])),
            )
        width = [max(a, b) for a, b in zip(self._dataset.shape[1:], block.shape[1:], strict=True)]
        self._dataset.resize((self._done + len(block), *width))
        inside = tuple(slice(0, size) for size in block.shape[1:])
        self._dataset[(slice(self._done, self._done + len(block)), *inside)] = block
        self._done += len(block)
        self._block, self._block_bytes = [], 0


def _stacked(rows: Sequence[Array]) -> Array:
    """Rows as one array; shorter ones are padded with zeros."""
    if rows[0].dtype.kind == "S" or len({row.shape for row in rows}) == 1:
        return np.array(rows) if rows[0].dtype.kind == "S" else np.stack(rows)
    padded = np.zeros((len(rows), max(map(len, rows))), rows[0].dtype)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded


def _reader(name: str, feature: Mapping[str, Any]) -> Callable[[Values], Array]:
    """A function from the values of a feature to a row. It raises ValueError."""
    if feature["dtype"] != "bytes":
        return lambda values: row_of(name, values, feature)
    decode = feature["decode"]
    if decode == "image":
        return _picture(name, feature["shape"])
    if decode is not None:
        return lambda values: _numbers(name, _only(name, values), decode, feature["shape"])
    return lambda values: _text(name, _only(name, values), feature["shape"])


def _only(name: str, values: Values) -> bytes:
    if not isinstance(values, list) or len(values) != 1:
        kind = f"{len(values)} values" if isinstance(values, list) else str(values.dtype)
        raise ValueError(f"{name!r} contains {kind}, not one text or one piece of bytes")
    return values[0]


def _numbers(name: str, data: bytes, dtype: str, shape: Any) -> Array:
    kind = np.dtype(dtype).newbyteorder("<")
    if len(data) % kind.itemsize:
        raise ValueError(f"{name!r} has {len(data)} bytes, no whole number of {dtype}")
    numbers = np.frombuffer(data, kind).astype(np.dtype(dtype))
    if shape is None:
        return numbers
    if numbers.size != prod(shape):
        raise ValueError(
            f"{name!r} has {numbers.size} values, not those of the shape {tuple(shape)}"
        )
    return numbers.reshape(shape)


def _text(name: str, data: bytes, shape: Any) -> Array:
    if b"\0" in data or len(data) > MAX_TEXT_BYTES:
        raise ValueError(
            f"{name!r} is not text of at most {MAX_TEXT_BYTES:,} bytes; say what it is with decode"
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{name!r} is not UTF-8; say what it is with decode") from None
    return np.array(data, f"S{max(1, len(data))}").reshape(shape or ())


def _picture(name: str, shape: Any) -> Callable[[Values], Array]:
    from fitfleet.data.decoding.images import Images

    mode = {1: "grayscale", 3: "rgb", 4: "rgba"}[shape[2]]
    options = {"color_mode": mode, "interpolation": "bilinear", "image_size": shape[:2]}
    images = Images({**options, "dtype": "uint8"}, [], lambda: None)

    def read(values: Values) -> Array:
        try:
            return images.decoded(_only(name, values))
        except UnreadableError as error:
            raise ValueError(f"{name!r} {error}") from None

    return read
