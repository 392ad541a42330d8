"""CRC-32C (RFC 3720) of many records at once, by NumPy.

Records are cut into lanes of equal length, the registers of all lanes are computed side by side,
and those of a record's lanes are combined: the sum is linear, so the register after a lane is the
one before it, shifted by a lane of zeros, xor that of the lane alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fitfleet.data.formats.source import Array

_LANE = 512
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


def _byte_table() -> Array:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)


_TABLE = _byte_table()
_NUMBERS: list[int] = _TABLE.tolist()


def _run(registers: Array, lanes: Array) -> Array:
    """The registers, shape (lanes,), after the bytes of their lanes, shape (lanes, bytes)."""
    for column in np.ascontiguousarray(lanes.T):
        registers = _TABLE[(registers ^ column) & 255] ^ (registers >> np.uint32(8))
    return registers


def _shift_tables() -> Array:
    """Tables that shift a register by a lane of zeros, one for each byte of it, shape (4, 256)."""
    bytes_ = np.arange(256, dtype=np.uint32)
    registers = np.concatenate([bytes_ << np.uint32(8 * place) for place in range(4)])
    zeros = np.zeros((len(registers), _LANE), np.uint8)
    return _run(registers, zeros).reshape(4, 256)


_SHIFT = [[int(value) for value in table] for table in _shift_tables()]


def masked_crc32c(records: Sequence[bytes]) -> list[int]:
    """The masked CRC-32C of each record, as TFRecord files store it."""
    if sum(map(len, records)) < _LANE:
        return [_masked(_crc32c(data)) for data in records]
    # Zeros before the first byte change nothing: the first register, all ones, is in the bytes.
    started = [bytes(byte ^ 255 for byte in data[:4]) + data[4:] for data in records]
    counts = [max(1, -(-len(data) // _LANE)) for data in started]
    padded = b"".join(
        data.rjust(count * _LANE, b"\0") for data, count in zip(started, counts, strict=True)
    )
    lanes = np.frombuffer(padded, np.uint8).reshape(-1, _LANE)
    sums = _run(np.zeros(len(lanes), np.uint32), lanes).tolist()
    checksums, place = [], 0
    for data, count in zip(records, counts, strict=True):
        register = 0
        for lane in sums[place : place + count]:
            register = _shifted(register) ^ lane
        place += count
        checksums.append(_masked(_crc32c(data) if len(data) < 4 else register ^ 0xFFFFFFFF))
    return checksums


def _shifted(register: int) -> int:
    return (
        _SHIFT[0][register & 255]
        ^ _SHIFT[1][register >> 8 & 255]
        ^ _SHIFT[2][register >> 16 & 255]
        ^ _SHIFT[3][register >> 24]
    )


def _crc32c(data: bytes) -> int:
    """The CRC-32C of a short record, byte by byte."""
    register = 0xFFFFFFFF
    for byte in data:
        register = _NUMBERS[(register ^ byte) & 255] ^ register >> 8
    return register ^ 0xFFFFFFFF


def _masked(value: int) -> int:
    return ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF
