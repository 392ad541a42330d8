"""The storage: every file name, and how a file gets there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fitfleet.errors import StorageError

# Read once, when h5py is imported: HDF5's locks fail on many shared file systems, and a file here
# is written under another name and never changed.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

# Keras writes weights only to names that end so.
SUFFIX = ".weights.h5"
JOB_GROUP = "_job"
# No experiment's folder starts with a dot.
INITIAL = ".initial"
DOCUMENT = f"{JOB_GROUP}/document.json"
PREDICTIONS = f"{JOB_GROUP}/predictions"
_NAME = re.compile(
    r"\.?attempt-(?P<attempt>\d+)(?:\.epoch-(?P<epoch>\d+)\.checkpoint)?(?:\.[0-9a-f]{32})?"
    + re.escape(SUFFIX)
)


@dataclass(frozen=True)
class Draft:
    """A file under its temporary name, in the folder where it will be."""

    path: Path
    target: Path

    def publish(self) -> None:
        """Give the file its name, at once and durably. Doing so again changes nothing."""
        # The transaction around it may have to be repeated after its connection was cut.
        if not self.path.exists() and self.target.exists():
            return
        os.replace(self.path, self.target)
        _fsync(self.target.parent)


class Storage:
    """The folder for weights: `<experiment>/<job id>/attempt-<n>.weights.h5`."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def final(self, experiment: str, job_id: int, attempt: int) -> str:
        """Path of an attempt's weights, relative to the root."""
        return f"{self.folder(experiment)}/{job_id}/attempt-{attempt}{SUFFIX}"

    def checkpoint(self, experiment: str, job_id: int, attempt: int, epoch: int) -> str:
        """Path of a checkpoint that contains `epoch` epochs, relative to the root."""
        return (
            f"{self.folder(experiment)}/{job_id}/attempt-{attempt}.epoch-{epoch}.checkpoint{SUFFIX}"
        )

    @staticmethod
    def folder(experiment: str) -> str:
        """A folder name that cannot leave the root; a hash keeps two names from meeting."""
        safe = re.sub(r"[^\w.-]", "_", experiment, flags=re.ASCII)[:80].lstrip(".")
        if safe and safe == experiment:
            return safe
        return f"{safe or 'experiment'}-{hashlib.sha256(experiment.encode()).hexdigest()[:8]}"

    def initial(self, digest: str) -> str:
        """Path of the weights that jobs start from, by the sha256 of the file."""
        return f"{INITIAL}/{digest}{SUFFIX}"

    def absolute(self, relative: str) -> Path:
        """Where a relative path lies on this machine. StorageError for one that leaves the root."""
        path = PurePosixPath(relative)
        is_inside = not path.is_absolute() and ".." not in path.parts and "\0" not in relative
        place = self.root / path
        # A symbolic link may leave it as well.
        if not is_inside or not place.resolve().is_relative_to(self.root.resolve()):
            raise StorageError(f"{relative!r} is not a path inside the storage {self.root}")
        return place

    @contextmanager
    def draft(self, relative: str) -> Iterator[Draft]:
        """A temporary file for `relative`: written inside, fsynced, and then `publish`ed or lost.

        StorageError when the storage refuses.
        """
        target = self.absolute(relative)
        stem = target.name.removesuffix(SUFFIX)
        draft = Draft(target.with_name(f".{stem}.{uuid.uuid4().hex}{SUFFIX}"), target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield draft
        except OSError as error:
            reason = error.strerror or str(error).splitlines()[0]
            raise StorageError(f"{target}: cannot be written: {reason}") from error
        finally:
            with suppress(OSError):
                draft.path.unlink()

    def remove(self, relative: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with suppress(OSError):
            self.absolute(relative).unlink()

    def files_of(self, experiment: str, job_id: int) -> list[str]:
        """All files that workers have written for a job, drafts of dead ones included."""
        folder = self.root / self.folder(experiment) / str(job_id)
        with suppress(OSError):
            names = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
            return [path.relative_to(self.root).as_posix() for path in names]
        return []

    def remove_with_folders(self, relative: str) -> None:
        """Remove a file, and the folders of its job and experiment if nothing is left in them."""
        self.remove(relative)
        with suppress(OSError):
            for folder in PurePosixPath(relative).parents[:-1]:
                (self.root / folder).rmdir()

    def outdated(
        self, experiment: str, job_id: int, attempt: int, epoch: int | None = None
    ) -> list[str]:
        """What this attempt may remove, now that its checkpoint of `epoch` is in effect.

        Checkpoints of earlier attempts and of its own earlier epochs (None: of all), and drafts
        of earlier attempts, which died. Never a file of a later attempt: the caller may be a
        zombie by now.
        """
        folder = self.root / self.folder(experiment) / str(job_id)
        in_force = (attempt, math.inf if epoch is None else epoch)
        names = []
        with suppress(OSError):
            for path in folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match is None:
                    continue
                of = int(match["attempt"])
                if path.name.startswith("."):
                    is_old = of < attempt
                else:
                    is_old = match["epoch"] is not None and (of, int(match["epoch"])) < in_force
                if is_old:
                    names.append(str(path.relative_to(self.root)))
        return names


def fsync(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    _fsync(path)


def sha256(path: Path) -> str:
    """Hex digest of a file. OSError also for what is none: a pipe would never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_document(file: Any, document: dict[str, Any]) -> None:
    """Put JSON into an open HDF5 file, as bytes, since attributes end at 64 KB."""
    import numpy as np

    text = json.dumps(document).encode()
    file.create_dataset(DOCUMENT, data=np.frombuffer(text, "u1"))


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
