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
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fitfleet.errors import StorageError
from fitfleet.objects import store
from fitfleet.objects.draft import Draft, ObjectDraft
from fitfleet.objects.store import ObjectStore, StoredFile
from fitfleet.settings import Settings

# Read once, when h5py is imported: HDF5's locks fail on many shared file systems, and a file here
# is written under another name and never changed.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

# Keras writes weights only to names that end so.
SUFFIX = ".weights.h5"
JOB_GROUP = "_job"
# No experiment's folder starts with a dot.
INITIAL = ".initial"
ARCHIVE = ".archive"
DOCUMENT = f"{JOB_GROUP}/document.json"
PREDICTIONS = f"{JOB_GROUP}/predictions"
_NAME = re.compile(
    r"\.?attempt-(?P<attempt>\d+)(?:\.epoch-(?P<epoch>\d+)\.checkpoint)?(?:\.[0-9a-f]{32}){0,2}"
    + re.escape(SUFFIX)
)


class Storage:
    """Weights by job: `<experiment>/<job id>/attempt-<n>.weights.h5`, below a folder or a URL."""

    def __init__(self, root: str | Path, objects: ObjectStore | None = None) -> None:
        self.root = Path(root)
        self.objects = objects

    @classmethod
    def of(cls, settings: Settings) -> Storage:
        """The storage of the settings."""
        objects = store.of(settings)
        if objects is not None:
            return cls(objects.cache.folder, objects)
        return cls(os.path.abspath(settings.storage))

    def final(self, experiment: str, job_id: int, attempt: int) -> str:
        """Path of an attempt's weights, relative to the root."""
        return f"{self.folder(experiment)}/{job_id}/attempt-{attempt}{SUFFIX}"

    def checkpoint(self, experiment: str, job_id: int, attempt: int, epoch: int) -> str:
        """Path of a checkpoint that contains `epoch` epochs, relative to the root."""
        return (
            f"{self.folder(experiment)}/{job_id}/attempt-{attempt}.epoch-{epoch}.checkpoint{SUFFIX}"
        )

    def checkpoint_again(self, experiment: str, job_id: int, attempt: int, epoch: int) -> str:
        """Another path of such a checkpoint, for a file with more in it; never the same twice."""
        name = self.checkpoint(experiment, job_id, attempt, epoch)
        return f"{name.removesuffix(SUFFIX)}.{uuid.uuid4().hex}{SUFFIX}"

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

    def shown(self, relative: str) -> str:
        """Path or URL of a file, for users."""
        return str(self.root / relative) if self.objects is None else self.objects.shown(relative)

    def contains(self, relative: str) -> bool:
        """Whether a path of a row lies in the storage; another one is not ours to touch."""
        with suppress(StorageError):
            self.absolute(relative)
            return True
        return False

    def absolute(self, relative: str) -> Path:
        """Where a relative path lies on this machine. StorageError for one that leaves the root."""
        path = PurePosixPath(relative)
        is_inside = not path.is_absolute() and ".." not in path.parts and "\0" not in relative
        place = self.root / path
        # A symbolic link may leave it as well.
        if not is_inside or not place.resolve().is_relative_to(self.root.resolve()):
            raise StorageError(f"{relative!r} is not a path inside the storage {self.shown('')}")
        return place

    def local(self, relative: str, digest: str | None = None) -> Path:
        """A file to read on this machine; of an object a copy, fetched unless it is here.

        `digest` is the sha256 that a copy is held to; readers of a folder's file check it
        themselves. StorageError for a path that leaves the storage, and for an object that cannot
        be read; DamagedFileError for one of another content.
        """
        path = self.absolute(relative)
        return path if self.objects is None else self.objects.fetch(relative, digest)

    def about(self, relative: str) -> StoredFile | None:
        """Size and time of a file; None if there is none. StorageError if the storage fails."""
        path = self.absolute(relative)
        if self.objects is not None:
            return self.objects.about(relative)
        with suppress(OSError):
            about = path.stat()
            return StoredFile(relative, about.st_size, about.st_mtime)
        return None

    def is_gone(self, relative: str) -> bool:
        """Whether a file was removed. Without its folder the storage may only be away."""
        path = self.absolute(relative)
        return (self.objects is not None or path.parent.is_dir()) and self.about(relative) is None

    def check_reachable(self) -> None:
        """StorageError if the storage is not there."""
        if self.objects is not None:
            self.objects.about(".code-key")
        elif not self.root.is_dir():
            raise StorageError(f"{self.root}: the storage is not there; see `fitfleet doctor`")

    def files(self, below: str = "") -> Iterator[StoredFile]:
        """All regular files in a folder and its folders, by path; links are not followed."""
        if self.objects is not None:
            yield from self.objects.files(below)
            return
        for folder, folders, names in os.walk(self.root / below):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                with suppress(OSError):
                    about = path.lstat()
                    if stat.S_ISREG(about.st_mode):
                        relative = path.relative_to(self.root).as_posix()
                        yield StoredFile(relative, about.st_size, about.st_mtime)

    @contextmanager
    def draft(self, relative: str) -> Iterator[Draft]:
        """A temporary file for `relative`: written inside, `secure`d, and `publish`ed or lost.

        In an object store its `name` has a random part, so no name is ever used twice.
        StorageError when the storage refuses.
        """
        draft = self._draft(relative)
        try:
            draft.path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
        except OSError as error:
            reason = error.strerror or str(error).splitlines()[0]
            raise StorageError(f"{draft.target}: cannot be written: {reason}") from error
        finally:
            draft.discard()

    def _draft(self, relative: str) -> Draft:
        target, unique = self.absolute(relative), uuid.uuid4().hex
        stem = target.name.removesuffix(SUFFIX)
        if self.objects is None:
            path = target.with_name(f".{stem}.{unique}{SUFFIX}")
            return Draft(path, target, relative)
        path = self.objects.cache.folder / "drafts" / f"{unique}{SUFFIX}"
        name = f"{relative.removesuffix(SUFFIX)}.{unique}{SUFFIX}"
        return ObjectDraft(path, path, name, self.objects)

    def keep(self, draft: Draft, relative: str) -> None:
        """Rename a draft to its content's name; another process may have written the same."""
        if isinstance(draft, ObjectDraft):
            if draft.objects.about(relative) is None:
                draft.objects.put(draft.path, relative)
            return
        draft.secure()
        replace(draft, target=self.absolute(relative)).publish()

    def remove(self, relative: str) -> None:
        """Remove a file if that can be; one that is gone already is no error."""
        with suppress(StorageError):
            self.delete(relative)

    def delete(self, relative: str) -> None:
        """Remove a file, if it is there. StorageError if that is refused."""
        path = self.absolute(relative)
        if self.objects is not None:
            self.objects.remove(relative)
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None

    def files_of(self, experiment: str, job_id: int) -> list[StoredFile]:
        """All files that workers have written for a job, drafts of dead ones included."""
        folder = f"{self.folder(experiment)}/{job_id}"
        with suppress(StorageError):
            return [f for f in self.files(folder) if _NAME.fullmatch(PurePosixPath(f.path).name)]
        return []

    def remove_with_folders(self, relative: str) -> None:
        """Remove a file, and the folders of its job and experiment if nothing is left in them."""
        self.remove(relative)
        if self.objects is not None:
            return
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
        in_force = (attempt, math.inf if epoch is None else epoch)
        names = []
        for file in self.files_of(experiment, job_id):
            match = _NAME.fullmatch(PurePosixPath(file.path).name)
            assert match is not None
            of = int(match["attempt"])
            if match[0].startswith("."):
                is_old = of < attempt
            else:
                is_old = match["epoch"] is not None and (of, int(match["epoch"])) < in_force
            if is_old:
                names.append(file.path)
        return names


def sha256(path: Path) -> str:
    """Hex digest of a file. OSError also for what is none: a pipe would never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
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
