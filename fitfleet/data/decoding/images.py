"""Images, decoded by Pillow (the extra `images`) and resized as TensorFlow does.

Colour PNG, BMP and the first frame of a GIF are bit-equal to what Keras reads; JPEG, and colours
converted to gray, are equal within the rounding of another decoder.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.decoding.decoder import UnreadableError, read_bytes
from fitfleet.data.formats.source import Array
from fitfleet.errors import MissingExtraError
from fitfleet.text import first_line

MAX_FILE_BYTES = 256 * 2**20
MAX_PIXELS = 64 * 2**20
_FORMATS = ("BMP", "GIF", "JPEG", "PNG")
_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


class Images:
    """Rows of shape (height, width, channels)."""

    def __init__(
        self, options: Mapping[str, Any], files: Sequence[Path], on_file: Callable[[], None]
    ) -> None:
        try:
            from PIL import Image
        except ImportError:
            raise MissingExtraError("Pillow", "images") from None
        self._open, self._from_array = Image.open, Image.fromarray
        self._mode = _MODES[options["color_mode"]]
        self._is_nearest = options["interpolation"] == "nearest"
        height, width = options["image_size"]
        self.shape: tuple[int, ...] = (int(height), int(width), len(self._mode))
        self.dtype: np.dtype[Any] = np.dtype(options["dtype"])

    def row(self, path: Path) -> Array:
        """One image, 0 to 255, shape (height, width, channels). Raises UnreadableError."""
        return self.decoded(read_bytes(path, MAX_FILE_BYTES))

    def decoded(self, data: bytes) -> Array:
        """The same, from the content of a file."""
        pixels = self._pixels(data)
        resized = _nearest if self._is_nearest else _bilinear
        row = resized(pixels.astype(np.float32), self.shape[0], self.shape[1])
        return np.rint(row).astype(np.uint8) if self.dtype.kind == "u" else row

    def _pixels(self, data: bytes) -> Array:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with self._open(io.BytesIO(data), formats=_FORMATS) as picture:
                    width, height = picture.size
                    if width * height > MAX_PIXELS:
                        raise UnreadableError(
                            f"has {width} x {height} pixels, at most {MAX_PIXELS:,} are read"
                        )
                    converted = np.asarray(self._converted(picture))
        except UnreadableError:
            raise
        except Exception as error:  # Pillow raises errors of any class for a damaged file
            reason = _without_address(first_line(error, 120))
            raise UnreadableError(f"cannot be decoded: {reason}") from None
        return converted.reshape(height, width, self.shape[2])

    def _converted(self, picture: Any) -> Any:
        if picture.mode.startswith("I"):  # of 16 bits the upper 8, as TensorFlow reads them
            picture = self._from_array((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
        return picture.convert(self._mode)


def _without_address(words: str) -> str:
    """Without the address of the buffer, which Pillow appends."""
    return words.split(" <")[0]


def _bilinear(pixels: Array, height: int, width: int) -> Array:
    """As `tf.image.resize`: half-pixel centers, without antialiasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    top, bottom, down = _between(pixels.shape[0], height)
    left, right, across = _between(pixels.shape[1], width)
    across = across[None, :, None]
    upper = pixels[top][:, left] + (pixels[top][:, right] - pixels[top][:, left]) * across
    lower = pixels[bottom][:, left] + (pixels[bottom][:, right] - pixels[bottom][:, left]) * across
    resized_pixels: Array = upper + (lower - upper) * down[:, None, None]
    return resized_pixels


def _between(size: int, new_size: int) -> tuple[Array, Array, Array]:
    """For each new pixel: the indices before and after it, and its fraction between them."""
    scale = np.float32(size) / np.float32(new_size)
    places = (np.arange(new_size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floors = np.floor(places)
    lower = np.maximum(floors.astype(np.int64), 0)
    upper = np.minimum(np.ceil(places).astype(np.int64), size - 1)
    return lower, upper, (places - floors).astype(np.float32)


def _nearest(pixels: Array, height: int, width: int) -> Array:
    rows, columns = (
        np.minimum(
            np.floor(
                (np.arange(wanted, dtype=np.float32) + np.float32(0.5))
                * (np.float32(size) / np.float32(wanted))
            ).astype(np.int64),
            size - 1,
        )
        for size, wanted in ((pixels.shape[0], height), (pixels.shape[1], width))
    )
    resized_pixels: Array = pixels[rows][:, columns]
    return resized_pixels
