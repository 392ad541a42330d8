"""The names of files that a callback writes, which are always inside the files of the job."""

from __future__ import annotations

import os
import posixpath
import re
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.spec.keras_objects.object_documents import is_space

# Class of Keras -> its argument with the name of a file.
ARGUMENTS = {"ModelCheckpoint": "filepath", "CSVLogger": "filename", "TensorBoard": "log_dir"}
_MAX_LENGTH = 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=+-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.=+-]*)*")
# `str.format` could read attributes, or exhaust the memory by a width.
_FIELD = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::0?\d{0,2}(?:\.\d{1,2})?[defg]?)?\}")
_WEIGHTS = ".weights.h5"
_MODELS = (".keras", ".h5")


def is_name(name: str) -> bool:
    """Whether a file may have this name among a job's files: relative, and without `..`."""
    return len(name) <= _MAX_LENGTH and _NAME.fullmatch(name) is not None


def fields(name: str) -> list[str]:
    """The fields of a name: `epoch` and names of metrics."""
    return [match["name"] for match in _FIELD.finditer(name)]


def check(class_name: str, config: dict[str, Any], place: str) -> None:
    """Write the normal form of the name into a callback's canonical config.

    Raises SpecError for a path outside of the folder, and for a name that Keras would refuse.
    """
    argument = ARGUMENTS.get(class_name)
    if class_name == "TensorBoard":
        if config.get("update_freq") == "batch":
            config["update_freq"] = 1
        if argument not in config:
            return
    given = config.get(argument) if argument else None
    if argument is None or is_space(given):
        return
    if class_name == "TensorBoard" and isinstance(given, str) and len(given) > 1:
        given = given.removesuffix("/")  # it is a folder
    config[argument] = name = _normal(given, f"{place}.{argument}")
    if class_name != "ModelCheckpoint" and fields(name):
        raise SpecError(f"{place}.{argument}", f"{name!r} takes no values; give one name")
    if class_name == "ModelCheckpoint":
        _check_form(name, config.get("save_weights_only", False), f"{place}.{argument}")


def _normal(given: Any, place: str) -> str:
    if isinstance(given, os.PathLike):
        given = os.fspath(given)
    if not isinstance(given, str) or not given:
        raise SpecError(place, f"{given!r:.60} is not the name of a file")
    name = posixpath.normpath(given)
    if name.startswith(("/", "../", "~")) or name == "..":
        raise SpecError(
            place,
            f"{given!r:.80} is not inside the job's own files; give a name alone, such as"
            f" {posixpath.basename(name)!r:.80}, and read it by job.files",
        )
    try:
        shown = _FIELD.sub("0", name)
        _shown_with_values(name)
    except ValueError as error:
        raise SpecError(place, f"{given!r:.80} cannot be filled in: {error}") from None
    if given.endswith("/") or not is_name(shown):
        raise SpecError(
            place,
            f"{given!r:.80} is not a file name; give letters, digits and _.=+-/, and values as"
            " {epoch:02d} or {val_loss:.2f}, at most 200 characters",
        )
    return name


def _shown_with_values(name: str) -> None:
    """The name with example values. Raises ValueError for an invalid format of a value."""
    for match in _FIELD.finditer(name):
        is_count = match["name"] == "epoch"
        match[0].format(**{match["name"]: 1 if is_count else 0.5})


def _check_form(name: str, is_weights: Any, place: str) -> None:
    if is_weights is True and not name.endswith(_WEIGHTS):
        raise SpecError(place, f"{name!r} does not end in {_WEIGHTS}, as weights alone have it")
    if is_weights is False and not name.endswith(_MODELS):
        raise SpecError(place, f"{name!r} does not end in .keras (or .h5), as a whole model has it")
