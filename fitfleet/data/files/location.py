"""Where the files of a dataset are, and whether they are on this machine."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fitfleet.data.files import storage_files
from fitfleet.data.files.storage_names import STORAGE, STORED
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

_MAX_CHARACTERS = 4096


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
    """The files of a dataset; None when their folder is not on this machine.

    Raises DatasetError when the folder is here but the file is not, for a relative path that
    leaves the data root, and for a folder or a device in place of a file.
    """
    if bool(dataset.path) == bool(dataset.files):
        raise DatasetError(
            "dataset: give either path or files (.npy files by array name);"
            f" path is {dataset.path!r} and files is {dataset.files!r}"
        )
    if dataset.path:
        path = _find(dataset.path, settings)
        if path is not None and path.suffix.lower() == ".npy":
            raise DatasetError(
                f"dataset.path: {dataset.path!r} is one array; give the pair as"
                " files={'x': 'x.npy', 'y': 'y.npy'}"
            )
        return None if path is None else Location(path, {})
    files: dict[str, Path] = {}
    for name, text in dataset.files.items():
        path = _find(text, settings)
        if path is None:
            return None
        if path.suffix.lower() != ".npy":
            raise DatasetError(f"dataset.files: {text!r} is not a .npy file; use path for others")
        files[name] = path
    return Location(None, files)


def locate_folder(text: str, settings: Settings) -> Path:
    """A folder, by the rules of datasets. Raises DatasetError if it is not on this machine."""
    folder = _find(text, settings, is_folder=True)
    if folder is None:
        raise DatasetError(
            f"dataset.path: the folder {text!r:.120} cannot be found on this machine, and it is"
            " read where the job is submitted; submit from a machine that has it"
        )
    return folder


def locate_file(text: str, settings: Settings) -> Path:
    """A file, by the rules of datasets. Raises DatasetError if it is not on this machine."""
    path = _find(text, settings)
    if path is None:
        raise DatasetError(
            f"dataset.path: {text!r:.120} cannot be found on this machine, and it is read where the"
            " job is submitted; submit from a machine that has it"
        )
    return path


def check_inside_root(text: str, files: Sequence[str], settings: Settings) -> None:
    """Raise DatasetError for files in a folder of the data root that are links out of it."""
    if Path(text).is_absolute() and not settings.data_root_only:
        return
    for path in files:
        _check_inside(path, Path(path), settings)


def _find(text: str, settings: Settings, *, is_folder: bool = False) -> Path | None:
    _check_name(text, settings)
    if text.startswith(STORAGE) and not is_folder:
        return _find_stored(text, settings)
    folder, path = _place(text, settings)
    mode = _mode(text, folder, path, settings)
    if mode is None:
        return None
    _check_kind(text, mode, is_folder)
    if not Path(text).is_absolute() and _has_link(folder, os.path.normpath(text)):
        _check_inside(text, path, settings)
    if not os.access(path, os.R_OK):
        raise DatasetError(f"dataset.path: {text!r} may not be read by this user")
    return path


def _check_name(text: str, settings: Settings) -> None:
    if len(text) > _MAX_CHARACTERS:
        raise DatasetError(
            f"dataset.path: {text[:40]!r}... has {len(text):,} characters; a path has at most"
            f" {_MAX_CHARACTERS:,}"
        )
    if "\0" in text:
        raise DatasetError(f"dataset.path: {text!r} is not the name of a file")
    if "://" in text:
        raise DatasetError(
            "dataset.path: a URL is fetched where a job is submitted; download the file to the data"
            f" root {settings.data_root!r} and name it there"
        )


def _place(text: str, settings: Settings) -> tuple[Path, Path]:
    """(folder that has to be on this machine, path) of a path in a dataset."""
    path = Path(text)
    if not path.is_absolute():
        inside = os.path.normpath(text)
        if inside.split(os.sep)[0] == os.pardir:
            raise DatasetError(
                f"dataset.path: {text!r} leaves the data root {settings.data_root!r}; use a path"
                " below it, or an absolute one"
            )
        return Path(settings.data_root), Path(settings.data_root) / inside
    if settings.data_root_only:
        raise DatasetError(
            f"dataset.path: {text!r} is absolute, and this machine reads below its data root only"
            " (setting data_root_only); use a path that begins there"
        )
    return path.parent, path


def _mode(text: str, folder: Path, path: Path, settings: Settings) -> int | None:
    """The mode of the file or folder; None if the folder it is in is not on this machine."""
    try:
        return path.stat().st_mode
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


def _check_kind(text: str, mode: int, is_folder: bool) -> None:
    if is_folder and not stat.S_ISDIR(mode):
        raise DatasetError(f"dataset.path: {text!r} is a file, not a folder of files")
    if stat.S_ISDIR(mode) and not is_folder:
        raise DatasetError(
            f"dataset.path: {text!r} is a folder, not a file; say what it holds:"
            " ff.ImageFolder(path), ff.TextFolder(path) or ff.AudioFolder(path)"
        )
    if not stat.S_ISREG(mode) and not is_folder:
        raise DatasetError(f"dataset.path: {text!r} is not a file")


def _find_stored(text: str, settings: Settings) -> Path | None:
    """A file that `data.ingest` has written to the storage; None if the storage is not here."""
    if not re.fullmatch(STORED, text):
        raise DatasetError(f"dataset.path: {text!r:.80} names no data in the storage")
    path = storage_files.local(settings, text.removeprefix(STORAGE))
    if path is None and storage_files.is_reachable(settings):
        raise DatasetError(
            f"dataset.path: {text!r} is not in the storage {settings.storage!r} any more; submit"
            " the arrays again"
        )
    return path


def _check_inside(text: str, path: Path, settings: Settings) -> None:
    """Refuse a link that leads out of the data root."""
    root = os.path.realpath(settings.data_root)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise DatasetError(
            f"dataset.path: {text!r} is a link that leads out of the data root"
            f" {settings.data_root!r}; give the absolute path of the file, or move it there"
        )


def _has_link(root: Path, inside: str) -> bool:
    """Whether a folder below the root, or the file, is a link; cheaper than to follow all."""
    place = str(root)
    for part in inside.split(os.sep):
        place = f"{place}{os.sep}{part}"
        if os.path.islink(place):
            return True
    return False


def open_regular(path: Path) -> IO[bytes]:
    """The file, open. Raises DatasetError for a pipe or device, on which a read may never end."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | os.O_CLOEXEC)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise DatasetError(f"{path}: is not a file")
    return os.fdopen(number, "rb")
