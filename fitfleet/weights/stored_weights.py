"""Copies of weights that jobs start from, each once in the storage, named by its content."""

from __future__ import annotations

import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import InitialWeights
from fitfleet.storage import DOCUMENT, JOB_GROUP, SUFFIX, Storage, sha256, write_document
from fitfleet.weights.files import checked, document_of, opened

# Attributes without which Keras cannot read its files; all else is left behind.
_ATTRIBUTES = ("name", "dtype", "layer_names", "weight_names", "backend", "keras_version")
_OPTIMIZER = "optimizer"
_INNER = "model.weights.h5"
_LEGACY = "model_weights"


def keep(
    source: Path,
    settings: Settings,
    *,
    match: Literal["all", "names"] = "all",
    with_optimizer: bool = False,
) -> InitialWeights:
    """Put the weights of a `.weights.h5`, `.keras` or `.h5` file into the storage, by content.

    The same weights give the same file. SpecError for a file that holds none.
    """
    with TemporaryDirectory() as folder:
        if source.suffix == ".keras":
            source = _unpacked(source, Path(folder), settings)
        with opened(source, settings) as file:
            return _kept(file, source, settings, match, with_optimizer)


def copy_weights(source: Path, target: Path, settings: Settings, digest: str | None = None) -> None:
    """Write a job's weights and optimizer as a Keras weights file and nothing else.

    StorageError when the source cannot be read, OSError when the target cannot be written.
    """
    import h5py

    checked(source, settings, digest)
    with opened(source, settings) as file, h5py.File(target, "w") as copy:
        _copy(file, copy, (JOB_GROUP,))


def _kept(
    file: Any, source: Path, settings: Settings, match: Any, with_optimizer: bool
) -> InitialWeights:
    import h5py

    storage = Storage.of(settings)
    top = file.get(_LEGACY, file)
    has_optimizer = with_optimizer and _OPTIMIZER in file
    with storage.draft(storage.initial("0" * 64)) as draft:
        with h5py.File(draft.path, "w") as target:
            skipped = (JOB_GROUP,) if has_optimizer else (JOB_GROUP, _OPTIMIZER)
            count = _copy(top, target, skipped)
            _copy_adapted(file, target)
        if not count:
            raise SpecError(
                "initial_weights", f"{source} contains no weights that Keras has written"
            )
        digest = sha256(draft.path)
        storage.keep(draft, storage.initial(digest))
    form: Literal["keras", "legacy"] = "legacy" if "layer_names" in top.attrs else "keras"
    return InitialWeights(sha256=digest, match=match, form=form, optimizer=has_optimizer)


def _copy_adapted(source: Any, target: Any) -> None:
    """What `adapt` has found for a job's layers goes with its weights."""
    states = document_of(source).get("adapted") if DOCUMENT in source else None
    if states:
        write_document(target, {"adapted": states})


def _copy(source: Any, target: Any, skipped: tuple[str, ...] = ()) -> int:
    """Copies groups, arrays and Keras's attributes, in the order of names; how many arrays."""
    import h5py

    for name in _ATTRIBUTES:
        if name in source.attrs:
            target.attrs[name] = source.attrs[name]
    count = 0
    for name in sorted(source):
        item = source[name]
        if name in skipped:
            continue
        if isinstance(item, h5py.Group):
            count += _copy(item, target.create_group(name))
            continue
        copied = target.create_dataset(name, data=item[()])
        for attribute in _ATTRIBUTES:
            if attribute in item.attrs:
                copied.attrs[attribute] = item.attrs[attribute]
        count += 1
    return count


def _unpacked(path: Path, folder: Path, settings: Settings) -> Path:
    """The weights file inside a `.keras` archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.getinfo(_INNER)
            if inside.file_size > settings.max_dataset_bytes:
                raise SpecError(
                    "initial_weights",
                    f"{path} contains {inside.file_size:,} bytes of weights, above the setting"
                    f" max_dataset_bytes={settings.max_dataset_bytes:,}; raise it",
                )
            target = folder / f"inner{SUFFIX}"
            with archive.open(inside) as packed, target.open("wb") as file:
                _bounded_copy(packed, file, inside.file_size)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise SpecError(
            "initial_weights", f"{path} is not a .keras file with weights: {error}"
        ) from None
    return target


def _bounded_copy(source: Any, target: Any, size: int) -> None:
    while size > 0 and (block := source.read(min(size, 1 << 20))):
        target.write(block)
        size -= len(block)
