"""WAV files of integer samples, read by Python's `wave`."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fitfleet.data.decoding.decoder import UnreadableError, read_bytes
from fitfleet.data.formats.source import Array

MAX_FILE_BYTES = 256 * 2**20
_WIDTHS = (1, 2, 3, 4)


class _Sound(NamedTuple):
    samples: int
    channels: int
    rate: int


class Sounds:
    """Rows of shape (samples, channels), -1 to 1, zeros after the end."""

    def __init__(
        self, options: Mapping[str, Any], files: Sequence[Path], on_file: Callable[[], None]
    ) -> None:
        self._first: _Sound | None = None
        longest = 1
        for path in files:
            on_file()
            try:
                header, _ = _read(path)
            except UnreadableError:
                continue  # `row` raises it again
            self._first = self._first or header
            longest = max(longest, header.samples)
        length = options["output_sequence_length"] or longest
        self.shape: tuple[int, ...] = (length, self._first.channels if self._first else 1)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)

    def row(self, path: Path) -> Array:
        """One sound, shape (samples, channels). Raises UnreadableError."""
        header, samples = _read(path)
        assert self._first is not None
        if (header.channels, header.rate) != self._first[1:]:
            raise UnreadableError(
                f"has {header.channels} channels at {header.rate:,} Hz, the first file"
                f" {self._first.channels} at {self._first.rate:,} Hz; resample it"
            )
        row = np.zeros(self.shape, np.float32)
        cut = samples[: self.shape[0]]
        row[: len(cut)] = cut
        return row


def _read(path: Path) -> tuple[_Sound, Array]:
    try:
        with wave.open(io.BytesIO(read_bytes(path, MAX_FILE_BYTES))) as sound:
            about = sound.getparams()
            data = sound.readframes(about.nframes)
    except (wave.Error, EOFError, ValueError, OverflowError) as error:
        words = str(error) or "it is truncated"
        raise UnreadableError(f"is not a WAV file of integer samples: {words[:100]}") from None
    width, channels = about.sampwidth, about.nchannels
    if width not in _WIDTHS or len(data) != about.nframes * width * channels or not data:
        raise UnreadableError(
            "is not a complete WAV file: its header declares more data than the file has"
        )
    samples = _numbers(data, width).reshape(-1, channels)
    return _Sound(len(samples), channels, about.framerate), samples


def _numbers(data: bytes, width: int) -> Array:
    """Samples from -1 to below 1."""
    if width == 1:  # the only unsigned width
        return (np.frombuffer(data, "u1").astype(np.float32) - 128) / 128
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), "u1")
        padded[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
        whole = padded.reshape(-1).view("<i4")
    else:
        whole = np.frombuffer(data, f"<i{width}")
    bits = 8 * (4 if width == 3 else width) - 1
    return (whole / np.float64(2**bits)).astype(np.float32)
