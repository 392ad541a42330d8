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
from fitfleet.spec.reference import is_custom
from fitfleet.spec.written_files import ARGUMENTS, check, fields
from fitfleet.weights.written_files import unpack
from fitfleet.worker.state.checkpoint import Snapshot


class WrittenFiles:
    """The folder of a fit, which is there until `close`; no folder if no callback writes."""

    def __init__(self, spec: JobSpec, snapshot: Snapshot | None, settings: Settings) -> None:
        self.folder: Path | None = None
        if not has_writers(spec):
            return
        self.folder = Path(tempfile.mkdtemp(prefix="files-"))
        if snapshot is not None and not snapshot.is_of_parent:
            unpack(snapshot.path, self.folder, settings)

    def place(self, name: str, config: dict[str, Any]) -> None:
        """Turn a callback's name of a file into the path that it is to write to. SpecError."""
        argument = ARGUMENTS.get(name)
        if argument is None:
            return
        check(name, config, "callbacks")
        assert self.folder is not None
        given = str(config[argument])
        path = self.folder / given
        if name == "CSVLogger":
            path.parent.mkdir(parents=True, exist_ok=True)
            config["append"] = path.exists()  # from a checkpoint: its rows are kept
            config[argument] = str(path)
        else:  # Keras fills in the values of an epoch
            folder = str(self.folder).replace("{", "{{").replace("}", "}}")
            config[argument] = f"{folder}/{given}"

    def close(self, callbacks: Sequence[Any]) -> None:
        """Remove the folder, and close what an unfinished fit has left open."""
        for callback in callbacks:
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


def has_writers(spec: JobSpec) -> bool:
    """Whether a callback of Keras writes files."""
    return any(c["class_name"] in ARGUMENTS and not is_custom(c) for c in spec.callbacks)
