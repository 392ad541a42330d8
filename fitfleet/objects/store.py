"""Objects below a URL: put whole, under names that are used once, and read into a local copy."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from fitfleet.errors import MissingExtraError, StorageError, StorageRefusedError
from fitfleet.objects.cache import ObjectCache
from fitfleet.settings import Settings
from fitfleet.urls import is_url

# Scheme -> what fsspec reads it with, where the extra `remote` brings it.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
# Timeouts after which a connection counts as broken; calls are retried here, not by botocore.
_CONNECT_S, _READ_S, _MAX_RETRIES = 5, 20, 1
_MIN_PAUSE_S = 0.2
_MAX_PAUSE_S = 5.0
_TIMES = ("LastModified", "mtime", "updated", "created")  # as file systems tell them
_AGED_S = 1800.0  # half of the age at which `gc` takes data that no job names
# What no repetition changes.
_FINAL = (PermissionError, FileNotFoundError, ValueError, TypeError, MemoryError)
_FINAL_NAMES = ("NoCredentialsError", "PartialCredentialsError", "InvalidAccessKeyId")

Result = TypeVar("Result")

# (file system, its name of the storage), by process: none survives a fork.
_systems: dict[tuple[int, str], tuple[Any, str]] = {}


@dataclass(frozen=True, order=True)
class StoredFile:
    """A file of the storage."""

    path: str  # relative to the storage
    size_bytes: int
    modified_at: float  # seconds since 1970


class DamagedFileError(StorageError):
    """A file of the storage is there, and not the one that was written."""


def of(settings: Settings) -> ObjectStore | None:
    """The objects that are the storage; None where the storage is a folder."""
    if not is_url(settings.storage):
        return None
    url = settings.storage.rstrip("/")
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    cache = ObjectCache(Path(settings.cache).absolute() / "storage" / key, settings.cache_bytes)
    return ObjectStore(url, cache, settings.storage_retry_s)


class ObjectStore:
    """All methods raise StorageError, when what fails has been tried for `retry_s`."""

    def __init__(self, url: str, cache: ObjectCache, retry_s: float) -> None:
        self.url, self.cache = url, cache
        self._retry_s = retry_s

    def shown(self, path: str) -> str:
        """The URL of a file, for messages."""
        return f"{self.url}/{path}"

    def put(self, source: Path, path: str) -> None:
        """Upload a file. It is there whole or not at all, and durable."""
        self._tried("written", path, lambda system, key: system.put_file(os.fspath(source), key))

    def create(self, path: str, content: bytes) -> None:
        """Write a small file, unless there is one of this name."""

        def created(system: Any, key: str) -> None:
            with contextlib.suppress(FileExistsError):
                system.pipe_file(key, content, mode="create")

        self._tried("written", path, created)

    def read(self, path: str) -> bytes | None:
        """The content of a small file; None if there is none."""

        def content(system: Any, key: str) -> bytes | None:
            try:
                return bytes(system.cat_file(key))
            except FileNotFoundError:
                return None

        return self._tried("read", path, content)

    def about(self, path: str) -> StoredFile | None:
        """Size and time of a file; None if there is none."""

        def info(system: Any, key: str) -> StoredFile | None:
            try:
                return _stored_file(path, system.info(key))
            except FileNotFoundError:
                return None

        return self._tried("read", path, info)

    def renew(self, path: str) -> bool:
        """Whether a file is there; `gc` sees by its time that it is wanted.

        False also for an old one of a file system that cannot renew it: it is to be put again.
        """
        about = self.about(path)
        if about is None:
            return False
        if about.modified_at > time.time() - _AGED_S:
            return True
        with contextlib.suppress(NotImplementedError):
            self._tried("renewed", path, _renew)
            return True
        return False

    def files(self, below: str = "") -> Iterator[StoredFile]:
        """All files in a folder and its folders, in the order of their paths."""

        def listed(system: Any, key: str) -> list[StoredFile]:
            try:
                there = system.find(key, detail=True)
            except FileNotFoundError:
                return []
            root = key.removesuffix(below).rstrip("/") + "/"
            return [
                _stored_file(name.removeprefix(root), info)
                for name, info in there.items()
                if name.startswith(root) and info.get("type") == "file"
            ]

        yield from sorted(self._tried("listed", below, listed))

    def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""

        def removed(system: Any, key: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(key)

        self._tried("removed", path, removed)

    def fetch(self, path: str, sha256: str | None = None) -> Path:
        """This machine's copy of a file. Its size and hash are checked.

        DamagedFileError if the file has another. A copy without a known hash is kept by its path,
        which has to tell the content.
        """
        suffix = "".join(Path(path).suffixes[-2:]) if sha256 else ""
        name = path if sha256 is None else f"{sha256}{suffix}"
        copy = self.cache.get(name)
        if copy is not None and (sha256 is None or _sha256(copy) == sha256):
            return copy
        self.cache.drop(name)
        try:
            with self.cache.draft(suffix) as draft:
                self._download(path, draft)
                if sha256 is not None and _sha256(draft) != sha256:
                    self._download(path, draft)  # on the way, or there?
                    self._check(path, _sha256(draft), sha256)
                return self.cache.put(draft, name)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageError(f"{self.cache.folder}: cannot be written: {reason}") from error

    def _download(self, path: str, draft: Path) -> None:
        def download(system: Any, key: str) -> None:
            size = int(system.info(key)["size"])
            system.get_file(key, os.fspath(draft))
            got = draft.stat().st_size
            if got != size:
                raise ConnectionError(f"it ended after {got:,} of {size:,} bytes")

        self._tried("read", path, download)

    def _check(self, path: str, there: str, wanted: str) -> None:
        if there != wanted:
            raise DamagedFileError(
                f"{self.shown(path)}: is not the file that was written: its sha256 is"
                f" {there[:12]}, not {wanted[:12]}; run the job again"
            )

    def _tried(self, done: str, path: str, call: Callable[[Any, str], Result]) -> Result:
        """What the call gives; one that fails is repeated, with longer and longer pauses."""
        end, pause_s = time.monotonic() + self._retry_s, _MIN_PAUSE_S
        while True:
            try:
                system, root = self._opened()
                return call(system, f"{root}/{path}".rstrip("/"))
            except (StorageError, MissingExtraError, NotImplementedError):
                raise
            except Exception as error:  # each file system raises errors of its own
                is_final = isinstance(error, _FINAL) or type(error).__name__ in _FINAL_NAMES
                if is_final or time.monotonic() + pause_s > end:
                    kind = StorageRefusedError if is_final else StorageError
                    message = f"{self.shown(path)}: cannot be {done}: {_reason(error)}"
                    raise kind(message) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    def _opened(self) -> tuple[Any, str]:
        key = (os.getpid(), self.url)
        if key not in _systems:
            _systems[key] = _open(self.url)
        return _systems[key]


def _open(url: str) -> tuple[Any, str]:
    package = _PACKAGES.get(url.partition("://")[0].lower())
    try:
        from fsspec.core import url_to_fs

        more = {"config_kwargs": _s3_config()} if package == "s3fs" else {}
        # fsspec would give the same file system again for a process's lifetime, with the address
        # and the credentials that the environment held at the first time.
        system, root = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True, **more)
    except ImportError as error:
        if package is not None or error.name == "fsspec":
            raise MissingExtraError(package or "fsspec", "remote") from None
        raise StorageError(f"storage: {url}: {error}") from None
    except ValueError as error:
        raise StorageError(f"storage: {url}: {error}; s3:// and gs:// are known") from None
    if package == "s3fs":
        system.retries = 1
    return system, str(root)


def _s3_config() -> dict[str, Any]:
    """Of botocore, which changes what it is given: a new one each time."""
    retries = {"max_attempts": _MAX_RETRIES}
    return {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": retries}


def _renew(system: Any, key: str) -> None:
    if "s3" in system.protocol:
        system.cp_file(key, key, MetadataDirective="REPLACE")  # else S3 refuses a copy onto itself
    else:
        system.touch(key, truncate=False)


def _stored_file(path: str, info: dict[str, Any]) -> StoredFile:
    at = next((info[name] for name in _TIMES if info.get(name)), None)
    if isinstance(at, str):
        at = datetime.fromisoformat(at.replace("Z", "+00:00"))
    seconds = at.timestamp() if isinstance(at, datetime) else at
    # Of unknown age it is new, so that nobody takes it away.
    return StoredFile(path, int(info["size"]), time.time() if seconds is None else float(seconds))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException) -> str:
    """What the file system says, in one line with the way out."""
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, PermissionError):
        return f"{words}; allow it to these credentials: reading, writing, listing and removing"
    if isinstance(error, FileNotFoundError):
        return f"{words}; there is no such file or bucket"
    if type(error).__name__ in _FINAL_NAMES:
        return f"{words}; set them where the service's own tools read them, as AWS_PROFILE"
    return f"{type(error).__name__}: {words}"
