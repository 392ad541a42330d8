"""Files of a folder to one HDF5 file, row by row, with a hash of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.decoding.decoder import Decoder, Make, UnreadableError
from fitfleet.data.decoding.images import Images
from fitfleet.data.decoding.sounds import Sounds
from fitfleet.data.decoding.texts import Texts
from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import BLOCK_BYTES, Array
from fitfleet.errors import DatasetError

_MAKE: dict[str, Make] = {"images": Images, "texts": Texts, "sounds": Sounds}
_CHUNK_BYTES = 2**20
_MAX_REASONS = 20


def convert(
    parts: Sequence[Mapping[str, Any]],
    target: Path,
    max_bytes: int,
    on_file: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write the file: {"digest": hex, "skipped": [path: reason, ...], "left_out": count}.

    A part is {"kind", "suffix" of its arrays' names, "files", "labels", "options"}. Raises
    DatasetError for a file that cannot be decoded, with its path, and above `max_bytes`.
    """
    import h5py

    skipped: list[str] = []
    digest = hasher()
    with h5py.File(target, "w") as file:
        for part in parts:
            digest.update(_write(file, part, max_bytes, on_file, skipped))
    return {
        "digest": digest.hexdigest(),
        "skipped": skipped[:_MAX_REASONS],
        "left_out": len(skipped),
    }


def _write(
    file: Any,
    part: Mapping[str, Any],
    max_bytes: int,
    on_file: Callable[[int, int], None],
    skipped: list[str],
) -> bytes:
    files = [Path(path) for path in part["files"]]
    count = len(files)
    decoder = _MAKE[part["kind"]](part["options"], files, lambda: on_file(0, count))
    nbytes = count * prod(decoder.shape) * decoder.dtype.itemsize
    if nbytes > max_bytes:
        raise DatasetError(
            f"{count:,} rows of {decoder.shape or 'text'} are {nbytes:,} bytes, above the setting"
            f" max_dataset_bytes={max_bytes:,}; raise it, or make the rows smaller"
        )
    rows = _Rows(file, f"x{part['suffix']}", count, decoder)
    kept = []
    for number, path in enumerate(files):
        on_file(number, count)
        try:
            rows.add(decoder.row(path))
        except UnreadableError as error:
            if not part["options"]["skip_unreadable"]:
                raise DatasetError(
                    f"{path}: {error}; repair or remove it, or leave such files out with"
                    " skip_unreadable=True"
                ) from None
            skipped.append(f"{path}: {error}")
            continue
        kept.append(number)
    hashes = rows.close()
    if not kept:
        raise DatasetError(f"{files[0].parent}: none of its {count:,} files can be read")
    if part["labels"] is not None:
        labels = np.asarray(part["labels"], part["label_dtype"])[kept]
        file.create_dataset(f"y{part['suffix']}", data=labels)
        hashes += hasher(labels.tobytes()).digest()
    return hashes


class _Rows:
    """An array that grows to at most `count` rows."""

    def __init__(self, file: Any, name: str, count: int, decoder: Decoder) -> None:
        row_bytes = max(1, prod(decoder.shape) * decoder.dtype.itemsize)
        is_text = decoder.dtype.kind == "S"
        self._dataset = file.create_dataset(
            name,
            shape=(count, *decoder.shape),
            maxshape=(count, *decoder.shape),
            dtype=decoder.dtype,
            chunks=(max(1, min(count, _CHUNK_BYTES // row_bytes)), *decoder.shape),
            # Texts are mostly padding.
            compression="gzip" if is_text else None,
        )
        self._max_rows = max(1, BLOCK_BYTES // row_bytes)
        self._block: list[Array] = []
        self._done = 0
        about = f"{name} {decoder.dtype.str} {decoder.shape}"
        self._digest = hasher(about.encode())

    def add(self, row: Array) -> None:
        self._block.append(row)
        if len(self._block) >= self._max_rows:
            self._flush()

    def close(self) -> bytes:
        """Write the remaining rows, and cut the array to them; their hash."""
        self._flush()
        self._dataset.resize(self._done, axis=0)
        return bytes(self._digest.digest())

    def _flush(self) -> None:
        if not self._block:
            return
        block = np.stack(self._block).astype(self._dataset.dtype, copy=False)
        self._dataset[self._done : self._done + len(block)] = block
        self._digest.update(np.ascontiguousarray(block).tobytes())
        self._done += len(block)
        self._block = []
