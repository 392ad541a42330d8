"""Datasets behind a URL: fetched where the job is submitted, to a file of the storage.

The file is named by its content, and the job names that file. So workers need no network and no
credentials, no row holds a URL, and what changes there later changes no job.
"""

from __future__ import annotations

import importlib
import json
import posixpath
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fitfleet.data.files import storage_files
from fitfleet.data.files.fingerprint import read_json, write_json
from fitfleet.data.formats import FORMATS, format_of
from fitfleet.data.formats.file import hasher
from fitfleet.data.ingest.conversion import OnProgress
from fitfleet.errors import DatasetError, MissingExtraError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.files import Files
from fitfleet.spec.job import DatasetSpec
from fitfleet.urls import is_url

# Scheme -> what fsspec reads it with; all come with the extra `remote`.
_SCHEMES = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_BLOCK_BYTES = 4 * 2**20
_PROGRESS_S = 1.0
# Properties that a server gives to tell the versions of a file apart.
_VERSIONS = ("ETag", "etag", "LastModified", "Last-Modified", "md5Hash", "generation", "mtime")


def has_remote(dataset: Any) -> bool:
    """Whether a `dataset=` names files by URLs."""
    if isinstance(dataset, Files):
        return any(map(is_url, dataset.paths))
    if isinstance(dataset, list | tuple):
        return any(map(is_url, dataset))
    path = dataset.get("path") if isinstance(dataset, Mapping) else dataset
    path = path.path if isinstance(path, DatasetSpec) else path
    return any(map(is_url, path)) if isinstance(path, list | tuple) else is_url(path)


def fetched(dataset: Any, settings: Settings, on_progress: OnProgress | None = None) -> Any:
    """The dataset with files of the storage in place of its URLs.

    Raises DatasetError for what cannot be read there, and above max_dataset_bytes; StorageError;
    MissingExtraError.
    """

    def local(text: Any) -> Any:
        return _fetch(text, settings, on_progress) if is_url(text) else text

    if isinstance(dataset, str):
        return local(dataset)
    if isinstance(dataset, DatasetSpec):
        return dataset.model_copy(update={"path": local(dataset.path)})
    if isinstance(dataset, Files):
        return Files(tuple(map(local, dataset.paths)), dataset.fields)
    if isinstance(dataset, Mapping):
        path = dataset["path"]
        here = [*map(local, path)] if isinstance(path, list | tuple) else local(path)
        return {**dataset, "path": here}
    return [*map(local, dataset)]


def _fetch(url: str, settings: Settings, on_progress: OnProgress | None) -> str:
    """The path in a spec of the file that has the content of a URL."""
    shown = shown_url(url)
    suffix = _suffix(url, shown)
    try:
        system, path = _opened(url)
        info = system.info(path)
        if info.get("type") == "directory":
            raise DatasetError(f"dataset.path: {shown} is a folder; name the file in it")
        entry = Path(settings.cache) / "fetched" / f"{_key(url, info)}.json"
        cached = read_json(entry) if _version(info) else None
        digest = str((cached or {}).get("digest"))
        if cached is None or not storage_files.is_there(
            settings, storage_files.name_of(digest, suffix)
        ):
            digest = _download(system, path, info, shown, suffix, settings, on_progress)
            if _version(info):
                write_json(entry, {"digest": digest})
    except (DatasetError, MissingExtraError):
        raise
    except Exception as error:  # each file system raises errors of its own
        raise DatasetError(f"dataset.path: {shown} cannot be read: {_reason(error, url)}") from None
    return storage_files.path_in_spec(digest, suffix)


def _opened(url: str) -> tuple[Any, str]:
    scheme = url.partition("://")[0].lower()
    try:
        importlib.import_module(_SCHEMES[scheme])
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError(_SCHEMES[scheme], "remote") from None
    # fsspec would keep one for the process's lifetime, with the address and the credentials that
    # the environment held at the first time, and its open connections.
    system, path = url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
    return system, path


def _download(
    system: Any,
    path: str,
    info: Mapping[str, Any],
    shown: str,
    suffix: str,
    settings: Settings,
    on_progress: OnProgress | None,
) -> str:
    """The hash of the content, which is then in the storage."""
    limit, size = settings.max_dataset_bytes, info.get("size")
    _check_size(shown, size or 0, limit)
    digest, done, reported_at = hasher(), 0, time.monotonic()
    with storage_files.draft(settings) as draft:
        with _reading(system, path, size) as source, draft.open("wb") as target:
            while block := source.read(_BLOCK_BYTES):
                done += len(block)
                _check_size(shown, done, limit)
                digest.update(block)
                target.write(block)
                if on_progress is not None and time.monotonic() - reported_at > _PROGRESS_S:
                    reported_at = time.monotonic()
                    of_all = f" of {size:,}" if size else ""
                    on_progress(f"{shown}: {done:,}{of_all} bytes fetched")
        if size and done != size:
            raise DatasetError(
                f"dataset.path: {shown} ended after {done:,} of {size:,} bytes; try again"
            )
        content = str(digest.hexdigest())
        storage_files.keep(settings, draft, storage_files.name_of(content, suffix))
    return content


def _reading(system: Any, path: str, size: Any) -> Any:
    """The file, open. One whose size its server does not say is read from its beginning once."""
    if not size:
        return system.open(path, "rb", block_size=0)
    return system.open(path, "rb", block_size=_BLOCK_BYTES, cache_type="readahead")


def _check_size(shown: str, nbytes: int, limit: int) -> None:
    if nbytes > limit:
        raise DatasetError(
            f"dataset.path: {shown} has {nbytes:,} bytes or more, above the setting"
            f" max_dataset_bytes={limit:,}; raise it"
        )


def _suffix(url: str, shown: str) -> str:
    """The suffix of the file's name, which tells its format. Raises DatasetError."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in _SCHEMES:
        raise DatasetError(
            f"dataset.path: {shown} cannot be fetched; https://, s3:// and gs:// can, or download"
            " the file to the data root and name it there"
        )
    if parts.username or parts.password:
        raise DatasetError(
            f"dataset.path: {shown} was given with a password; leave it out and set the variables"
            " that the service's own tools read, such as AWS_PROFILE or"
            " GOOGLE_APPLICATION_CREDENTIALS"
        )
    name = Path(posixpath.basename(parts.path))
    try:
        kind = format_of(name)
    except DatasetError as error:
        raise DatasetError(f"dataset.path: {shown}: {str(error).partition(': ')[2]}") from None
    suffix = next((end for end in FORMATS if name.name.lower().endswith(end)), "")
    if not suffix:
        raise DatasetError(
            f"dataset.path: {shown}: a single .{kind} array; write an .npz of x and y"
        )
    return suffix


def shown_url(url: str) -> str:
    """The URL without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:200]


def _version(info: Mapping[str, Any]) -> list[str]:
    return [f"{name}={info[name]}" for name in _VERSIONS if info.get(name)]


def _key(url: str, info: Mapping[str, Any]) -> str:
    parts = [url, info.get("size"), _version(info)]
    return str(hasher(json.dumps(parts).encode()).hexdigest())


def _reason(error: BaseException, url: str) -> str:
    """What the file system says in one line, without the URL."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file, or it may not be seen with these credentials"
    words = " ".join(str(error).split()).replace(url, "the file")
    query = urlsplit(url).query
    words = words.replace(query, "...") if query else words
    return f"{type(error).__name__}: {words[:200]}".rstrip(": ")
