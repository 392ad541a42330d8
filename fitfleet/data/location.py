"""Where a dataset lies, and whether this machine can see it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec


@dataclass(frozen=True)
class Location:
    """The files of a dataset: `path`, or the `.npy` files by array name."""

    path: Path | None
    files: dict[str, Path]

    def all(self) -> list[Path]:
        """Every file, in a fixed order."""
        if self.path is not None:
            return [self.path]
        return [self.files[name] for name in sorted(self.files)]


def locate(dataset: DatasetSpec, settings: Settings) -> Location | None:
    """The files of a dataset; None when the folder they lie in is not visible on this machine.

    Raises DatasetError when the folder is here but the file is not, for a relative path that
    leaves the data root, and for a folder or a device in place of a file.
    """
    if bool(dataset.path) == bool(dataset.files):
        raise DatasetError(
            "dataset: give either path or files (.npy files by array name);"
            f" path is {dataset.path!r} and files is {dataset.files!r}"
        )
    if dataset.path:
        found = _find(dataset.path, settings)
        return None if found is None else Location(found, {})
    files: dict[str, Path] = {}
    for name, text in dataset.files.items():
        found = _find(text, settings)
        if found is None:
            return None
        if found.suffix.lower() != ".npy":
            raise DatasetError(f"dataset.files: {text!r} is not a .npy file; use path for others")
        files[name] = found
    return Location(None, files)


def _find(text: str, settings: Settings) -> Path | None:
    if "\0" in text:
        raise DatasetError(f"dataset.path: {text!r} is not the name of a file")
    path = Path(text)
    folder = path.parent
    if not path.is_absolute():
        inside = os.path.normpath(text)
        if inside.split(os.sep)[0] == os.pardir:
            raise DatasetError(
                f"dataset.path: {text!r} leaves the data root {settings.data_root!r}; use a path"
                " below it, or an absolute one"
            )
        folder = Path(settings.data_root)
        path = folder / inside
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if not folder.is_dir():
            return None
        where = "" if Path(text).is_absolute() else f" in the data root {settings.data_root!r}"
        raise DatasetError(
            f"dataset.path: {text!r} does not exist{where}; check the name, or set data_root to"
            " the folder that your datasets are in"
        ) from None
    except OSError as error:
        raise DatasetError(f"dataset.path: {text!r} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise DatasetError(f"dataset.path: {text!r} is not a file")
    if not os.access(path, os.R_OK):
        raise DatasetError(f"dataset.path: {text!r} may not be read by this user")
    return path
