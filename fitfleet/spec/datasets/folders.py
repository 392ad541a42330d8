"""The declaration of a folder of images, texts or sounds: a class per folder, a sample per file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fitfleet.errors import DatasetError
from fitfleet.spec.keras_names import catalog

_Size = Annotated[int, Field(ge=1, le=65_536)]


class Folder(BaseModel):
    """The base of the three kinds; arguments are named as in keras.utils.

    `path` starts at the setting data_root unless it is absolute. Its folders are the classes, in
    alphabetical order or in that of `class_names`; their subfolders are searched, too.
    `label_mode`: "int", "categorical" (one-hot), "binary" (0.0 and 1.0), or None: files need no
    folders of classes, and y is x. Rows are shuffled by `seed`, or, without `shuffle`, sorted by
    class and name. `skip_unreadable` leaves out unreadable files with a warning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: ClassVar[str] = ""
    words: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = ()

    path: str
    label_mode: Literal["int", "categorical", "binary"] | None = "int"
    class_names: list[str] | None = None
    shuffle: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    skip_unreadable: bool = False

    def __init__(self, path: str | os.PathLike[str] = "", **fields: Any) -> None:
        name = type(self).__name__
        for field in fields:
            if field not in type(self).model_fields:
                hint = catalog.nearest(field, list(type(self).model_fields))
                raise DatasetError(f"{name}.{field[:60]}: no such field; {hint}")
        try:
            super().__init__(path=os.fspath(path), **fields)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, (name, *first["loc"])))
            raise DatasetError(f"{place}: {first['input']!r:.60}: {first['msg']}") from None
        if not self.path:
            raise DatasetError(f"{name}.path: is missing; give the path of a folder")


class ImageFolder(Folder):
    """Images as `keras.utils.image_dataset_from_directory` reads them.

    x has the shape (files, height, width, channels) and values from 0 to 255: float32 as in Keras,
    or rounded to `dtype="uint8"`, which needs a quarter of the space.
    """

    kind = "images"
    words = "pictures"
    suffixes = (".bmp", ".gif", ".jpeg", ".jpg", ".png")

    image_size: tuple[_Size, _Size] = (256, 256)
    color_mode: Literal["rgb", "rgba", "grayscale"] = "rgb"
    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    dtype: Literal["float32", "uint8"] = "float32"


class TextFolder(Folder):
    """Texts as `keras.utils.text_dataset_from_directory` reads them: UTF-8, one text per file.

    x has the shape (files,); a model takes it by `Input((), dtype="string")` and TextVectorization.
    `max_length`: bytes after which texts are cut.
    """

    kind = "texts"
    words = "texts"
    suffixes = (".txt",)

    max_length: _Size | None = None


class AudioFolder(Folder):
    """Sounds as `keras.utils.audio_dataset_from_directory` reads them: WAV files, -1 to 1.

    x is float32 of shape (files, samples, channels), as long as `output_sequence_length` or the
    longest file, zeros after the end of shorter ones.
    """

    kind = "sounds"
    words = "sounds"
    suffixes = (".wav",)

    output_sequence_length: Annotated[int, Field(ge=1, le=2**28)] | None = None


_KINDS = {"image_folder": ImageFolder, "text_folder": TextFolder, "audio_folder": AudioFolder}


def as_folder(value: Any) -> Folder | None:
    """A Folder, also from a mapping as in job files: {"image_folder": path, ...}.

    None for anything else. Raises DatasetError.
    """
    if isinstance(value, Folder):
        return value
    if not isinstance(value, Mapping):
        return None
    for name, kind in _KINDS.items():
        if isinstance(value.get(name), str):
            folder: Folder = kind(value[name], **{k: v for k, v in value.items() if k != name})
            return folder
    return None
