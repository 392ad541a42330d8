"""Programs of this user on this machine, as files that are verified when they are read.

`<folder>/<hash of the key>.program`: a SHA-256 of the rest, the key, the content. A file that is
damaged, of another key, or writable by other users counts as missing. If one is lost, the program
is traced again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fitfleet.worker.engines.programs.trace_lock import LOCK_SUFFIX, TraceLock

_SUFFIX = ".program"
_TEMPORARY = (".tmp", LOCK_SUFFIX)  # a killed process may leave these
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_STALE_DRAFT_S = 3600.0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ProgramStore:
    """Any number of processes may use one folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """`max_bytes` of all files together; the least recently used are evicted first."""
        self._folder = folder
        self._max_bytes = max_bytes
        self.is_usable = max_bytes > 0 and _make_private(folder)

    def has(self, key: str) -> bool:
        """Whether there is a file of a key; it is not verified."""
        return self.is_usable and self._path(key).exists()

    def get(self, key: str) -> bytes | None:
        """The content that was put under this key, or None."""
        if not self.is_usable:
            return None
        path = self._path(key)
        try:
            written = _read_private(path)
            if written is None:
                return None
            content = _content(written, key)
            if content is None:
                path.unlink()
            else:
                os.utime(path)  # evicted last
        except OSError:
            return None
        return content

    def put(self, key: str, content: bytes) -> None:
        """Store a content, unless it is too large or cannot be written."""
        body = len(key.encode()).to_bytes(_LENGTH_BYTES, "big") + key.encode() + content
        written = hashlib.sha256(body).digest() + body
        if not self.is_usable or len(written) > self._max_bytes:
            return
        path = self._path(key)
        draft = self._folder / f".{path.name}.{uuid.uuid4().hex}.tmp"
        with suppress(OSError):
            self._make_room(len(written))
            try:
                with os.fdopen(
                    os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb"
                ) as f:
                    f.write(written)
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """Delete the file of a key, because it cannot be used."""
        with suppress(OSError):
            self._path(key).unlink(missing_ok=True)

    def tracing(self, engine: str, trace_key: str) -> TraceLock:
        """The lock of an engine's program while it is traced, by a key that needs no model."""
        return TraceLock(self._folder, f"{engine} {trace_key}")

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}{_SUFFIX}"

    def _make_room(self, nbytes: int) -> None:
        entries = sorted(self._entries(), key=lambda entry: entry[0])
        used = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if used + nbytes <= self._max_bytes:
                return
            with suppress(FileNotFoundError):
                path.unlink()
            used -= size

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """(last use, bytes, path) of each file; those of killed writers count as oldest."""
        for path in self._folder.iterdir():
            with suppress(OSError):
                status = path.lstat()
                if path.suffix == _SUFFIX:
                    yield status.st_mtime, status.st_size, path
                elif path.suffix in _TEMPORARY and time.time() - status.st_mtime > _STALE_DRAFT_S:
                    yield 0.0, status.st_size, path


def folder_of(setting: str) -> Path | None:
    """The folder of the setting, or else in the user's cache; None for a user without a home."""
    try:
        if setting:
            return Path(setting).expanduser()
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(cache) / "fitfleet" / "programs"


def _make_private(folder: Path) -> bool:
    """Create the folder; whether only this user can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        is_of_user = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if not is_of_user or status.st_mode & _OTHERS_WRITE:
            return False
        folder.chmod(0o700)
    except OSError:
        return False
    return True


def _read_private(path: Path) -> bytes | None:
    """The bytes of a regular file that only this user can write, not of a link; or None."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        is_of_user = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
        return file.read() if is_of_user and not status.st_mode & _OTHERS_WRITE else None


def _content(written: bytes, key: str) -> bytes | None:
    """The content, if the hash is right and the key is this one; or None."""
    digest, body = written[:_DIGEST_BYTES], written[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    length = int.from_bytes(body[:_LENGTH_BYTES], "big")
    begin = _LENGTH_BYTES + length
    return body[begin:] if body[_LENGTH_BYTES:begin] == key.encode() else None
