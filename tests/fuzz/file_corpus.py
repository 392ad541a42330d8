"""Good dataset files of every format, and ways to damage them."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable

import h5py
import numpy as np
import pandas as pd
import pyarrow
from pyarrow import parquet

from fitfleet.data.formats.file import BLOCK_BYTES, hasher

FORMATS = ("h5", "npz", "npy", "csv", "parquet")
X = np.random.default_rng(0).normal(size=(20, 3)).astype("f4")
Y = np.arange(20) % 3


def seeds(kind: str) -> list[bytes]:
    """Good files, several a format."""
    return [make() for make in _MAKERS[kind]]


def _h5(libver: str = "earliest", **options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", libver=libver) as file:
            file.create_dataset("x", data=X, **options)
            file["y"] = Y
            file["more/z"] = np.arange(5.0)
            file["more"].attrs["words"] = "text"
        return buffer.getvalue()

    return make


def _npz(save: Callable[..., None]) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        save(buffer, x=X, y=Y)
        return buffer.getvalue()

    return make


def _npy(array: np.ndarray) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()

    return make


def _frame() -> pd.DataFrame:
    return pd.DataFrame({"x": X[:, 0], "y": Y, "word": ["a", "b, c"] * 10, "flag": Y == 1})


def _csv(**options: object) -> Callable[[], bytes]:
    return lambda: _frame().to_csv(index=False, **options).encode()  # type: ignore[call-overload]


def _parquet(**options: object) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        table = pyarrow.Table.from_pandas(_frame(), preserve_index=False)
        parquet.write_table(table, buffer, **options)
        return buffer.getvalue()

    return make


_MAKERS: dict[str, list[Callable[[], bytes]]] = {
    "h5": [
        _h5(),
        _h5("latest"),
        _h5(chunks=(4, 3), compression="gzip", shuffle=True),
        _h5("latest", chunks=(7, 2), compression="lzf"),
        _h5(chunks=(4, 3), maxshape=(None, 3)),
    ],
    "npz": [_npz(np.savez), _npz(np.savez_compressed)],
    "npy": [_npy(X), _npy(np.asfortranarray(X)), _npy(X[:, 0].astype(">f8"))],
    "csv": [_csv(), _csv(lineterminator="\r\n"), _csv(quoting=1)],
    "parquet": [_parquet(), _parquet(compression="gzip", use_dictionary=False, row_group_size=7)],
}


def digest(data: bytes) -> list[bytes]:
    """The hash of each block, as fitfleet.data.formats.file has them."""
    return [hasher(data[i : i + BLOCK_BYTES]).digest() for i in range(0, len(data), BLOCK_BYTES)]


_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63, 2**64 - 1)
_TOKENS = {
    "csv": (
        b",",
        b'"',
        b"\n",
        b"\r",
        b"\0",
        b";",
        b"\xff",
        b"nan",
        b"1e999",
        b"9" * 50,
        b"\xef\xbb\xbf",
    ),
    "npy": (
        b"True",
        b"|O",
        b"<f8",
        b"(",
        b")",
        b"-1",
        b"10**18",
        b"'",
        b"{",
        b",0)",
        b"1000000000000",
    ),
    "npz": (b"PK\x01\x02", b"PK\x03\x04", b"../", b"|O", b"-1", b"\0\0\0\0"),
    "h5": (b"TREE", b"HEAP", b"SNOD", b"OHDR", b"OCHK", b"FRHP", b"\xff" * 8, b"\0" * 8),
    "parquet": (b"PAR1", b"\xff\xff\xff\x0f", b"\0" * 4),
}


def damaged(data: bytes, kind: str, chance: random.Random) -> bytes:
    """The file with one to eight changes, each of a random kind and place."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(_CHANGES)(content, kind, chance)
    return bytes(content)


def _place(content: bytearray, chance: random.Random) -> int:
    """Anywhere, more often in the first and last parts, where the structure is."""
    size = max(1, len(content))
    return {
        0: lambda: chance.randrange(size),
        1: lambda: chance.randrange(min(size, 1024)),
        2: lambda: size - 1 - chance.randrange(min(size, 512)),
    }[chance.randrange(3)]()


def _flip(content: bytearray, kind: str, chance: random.Random) -> None:
    if content:
        content[_place(content, chance)] ^= 1 << chance.randrange(8)


def _byte(content: bytearray, kind: str, chance: random.Random) -> None:
    if content:
        content[_place(content, chance)] = chance.choice(
            (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
        )


def _number(content: bytearray, kind: str, chance: random.Random) -> None:
    form = chance.choice(("<H", "<I", "<Q", ">I"))
    width = struct.calcsize(form)
    value = chance.choice(_INTERESTING) % (1 << (8 * width))
    at = _place(content, chance)
    content[at : at + width] = struct.pack(form, value)


def _token(content: bytearray, kind: str, chance: random.Random) -> None:
    token, at = chance.choice(_TOKENS[kind]), _place(content, chance)
    content[at : at + chance.choice((0, len(token)))] = token


def _remove(content: bytearray, kind: str, chance: random.Random) -> None:
    at = _place(content, chance)
    del content[at : at + chance.choice((1, 2, 8, 64))]


def _repeat(content: bytearray, kind: str, chance: random.Random) -> None:
    at, size = _place(content, chance), chance.choice((1, 8, 64))
    content[at:at] = content[at : at + size] * chance.choice((1, 2, 10))


def _copy(content: bytearray, kind: str, chance: random.Random) -> None:
    start, at, size = _place(content, chance), _place(content, chance), chance.choice((1, 8, 64))
    content[at : at + size] = content[start : start + size]


def _cut(content: bytearray, kind: str, chance: random.Random) -> None:
    del content[_place(content, chance) :]


_CHANGES = (_flip, _flip, _byte, _byte, _number, _number, _token, _remove, _repeat, _copy, _cut)
