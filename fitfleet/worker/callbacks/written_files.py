"""Callbacks that write files: into a folder of this child, whose files go into the job's file.

Their content is a part of each checkpoint. So it is published with it, under the same fence, and a
fit that resumes continues with the files as they were at that epoch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.callback_file_names import ARGUMENTS, check, fields
from fitfleet.spec.keras_objects.object_documents import is_custom
from fitfleet.weights.callback_files import GROUP, pack, unpack
from fitfleet.worker.callbacks.tensorboard import OwnEventFiles, has_events
from fitfleet.worker.state.checkpoint import Snapshot


class WrittenFiles:
    """The folder of a fit, which is there until `close`; no folder if no callback may write."""

    def __init__(self, spec: JobSpec, snapshot: Snapshot | None, settings: Settings) -> None:
        self.folder: Path | None = None
        self._settings = settings
        if not _may_write(spec):
            return
        self.folder = Path(tempfile.mkdtemp(prefix="files-"))
        if snapshot is not None and not snapshot.is_of_parent:
            unpack(snapshot.path, self.folder, settings)

    @property
    def are_there(self) -> bool:
        """Whether any file was written so far."""
        return self.folder is not None and any(path.is_file() for path in self.folder.rglob("*"))

    def place(self, callback: Any) -> None:
        """Let a callback of Keras, or of a class derived from one, write below the folder.

        SpecError where the name that it has is none inside it.
        """
        kind = writer(callback)
        if kind is None:
            return
        argument, at = ARGUMENTS[kind], f"callbacks.{type(callback).__name__}"
        config = {argument: getattr(callback, argument)}
        config["save_weights_only"] = getattr(callback, "save_weights_only", False)
        check(kind, config, at)
        assert self.folder is not None
        path = self.folder / config[argument]
        if kind == "ModelCheckpoint":  # Keras fills in the values of an epoch
            folder = str(self.folder).replace("{", "{{").replace("}", "}}")
            callback.filepath = f"{folder}/{config[argument]}"
            return
        setattr(callback, argument, str(path))
        if kind == "CSVLogger":
            path.parent.mkdir(parents=True, exist_ok=True)
            callback.append = path.exists()  # from a checkpoint: its rows are kept
        elif isinstance(callback, OwnEventFiles) and has_events(path):
            callback.continue_files()

    def pack(self, file: Any, callbacks: Sequence[Any], group: str = GROUP) -> None:
        """Put what callbacks have written so far into an open HDF5 file. SpecError if too large."""
        if self.folder is None:
            return
        for callback in callbacks:
            if isinstance(callback, OwnEventFiles):
                callback.flush()
        pack(file, self.folder, self._settings, group)

    def close(self, callbacks: Sequence[Any]) -> None:
        """Remove the folder, and close what an unfinished fit has left open."""
        for callback in reversed(callbacks):
            if isinstance(callback, OwnEventFiles):
                callback.close_files()
            file = getattr(callback, "csv_file", None)
            if file is not None and isinstance(callback, keras.callbacks.CSVLogger):
                file.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


class ModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
    """Keras's, which says so where an epoch lacks a value of the file's name."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """SpecError before Keras fills in the name."""
        known = {"epoch", *(logs or {})}
        for field in fields(self.filepath.replace("{{", "")):
            if field not in known:
                raise SpecError(
                    "callbacks",
                    f"the name of ModelCheckpoint's file contains {field!r}, and an epoch"
                    f" of this fit"
                    f" has {', '.join(sorted(known))}; give one of these",
                )
        super().on_epoch_end(epoch, logs)


def writer(callback: Any) -> str | None:
    """The class of Keras that a callback is of, or derived from, if that class writes files."""
    return next(
        (name for name in ARGUMENTS if isinstance(callback, getattr(keras.callbacks, name))), None
    )


def _may_write(spec: JobSpec) -> bool:
    """Whether a callback is of Keras's that write files; those of the user may be derived."""
    return any(c["class_name"] in ARGUMENTS or is_custom(c) for c in spec.callbacks)
