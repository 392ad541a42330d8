"""A snapshot of source files: its hash, and the archive that is stored in the database."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from fitfleet.errors import SpecError

# For source code and small files that it reads. Datasets are not in it.
MAX_BYTES = 8 * 2**20
MAX_FILES = 2_000
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Snapshot:
    """Files by their path, separated by `/`, relative to the folder of imports."""

    files: dict[str, bytes]

    def __post_init__(self) -> None:
        """Raises SpecError for a path outside of the snapshot, and if it is too large."""
        for path in self.files:
            parts = PurePosixPath(path).parts
            if path.startswith("/") or "\\" in path or ".." in parts or not parts:
                raise SpecError("code", f"{path!r:.60} is not a path inside the job's code")
        size = sum(map(len, self.files.values()))
        if size > MAX_BYTES or len(self.files) > MAX_FILES:
            raise SpecError(
                "code",
                f"{len(self.files)} files, {size / 2**20:.1f} MiB; a job carries at most"
                f" {MAX_FILES} files of {MAX_BYTES // 2**20} MiB; install what is larger on the"
                " workers, or read it as data",
            )

    @cached_property
    def sha256(self) -> str:
        """Hash of paths and contents."""
        rows = [[p, hashlib.sha256(self.files[p]).hexdigest()] for p in sorted(self.files)]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def holds(self, module: str) -> bool:
        """Whether it contains the source of a module."""
        path = module.replace(".", "/")
        return f"{path}.py" in self.files or f"{path}/__init__.py" in self.files

    def to_archive(self) -> bytes:
        """A zip file."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(self.files):
                entry = zipfile.ZipInfo(path, _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, self.files[path])
        return buffer.getvalue()

    @classmethod
    def from_archive(cls, data: bytes) -> Snapshot:
        """From `to_archive`. Raises SpecError for other bytes, and if it is too large."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                entries = archive.infolist()
                if sum(entry.file_size for entry in entries) > MAX_BYTES:
                    raise SpecError("code", "the stored archive unpacks to too much")
                return cls({entry.filename: archive.read(entry) for entry in entries})
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, EOFError) as error:
            raise SpecError("code", f"the stored archive is damaged: {error}") from None

    def write(self, folder: Path) -> None:
        """Write the files to a folder."""
        for path, content in self.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
