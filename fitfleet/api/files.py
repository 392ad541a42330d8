"""Uploads and downloads: datasets and initial weights in, weights of jobs out.

An upload is written under a temporary name, counted and hashed, and gets its final name only if its
content has the announced hash; two uploads of one content are one file. It is checked like any file
of a user before it is opened.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from fitfleet.api.requests import TooLargeError
from fitfleet.client.fleet import Fleet
from fitfleet.data.files import storage_files
from fitfleet.data.files.location import locate
from fitfleet.data.files.storage_names import STORED
from fitfleet.errors import (
    DatasetError,
    FitfleetError,
    NotFoundError,
    SpecError,
    StateError,
    StorageError,
)
from fitfleet.settings import Settings
from fitfleet.storage import SUFFIX, Storage, sha256
from fitfleet.weights.stored_weights import keep

_BLOCK = 1 << 20
_SPARE_BYTES = 2**30  # of the disk, which running jobs need for their checkpoints
_NAME = re.compile(r"(?P<sha256>[0-9a-f]{64})(?P<suffix>\.[a-z0-9.]{1,12})")


def has_dataset(fleet: Fleet, name: str) -> bool:
    """Whether the dataset of that content is there. DatasetError for a name that is none."""
    digest, suffix = _parts(name)
    if not re.fullmatch(STORED, storage_files.path_in_spec(digest, suffix)):
        raise DatasetError(f"{name!r:.100}: a dataset is .h5, .npz, .npy, .csv or .parquet")
    return storage_files.is_there(fleet.settings, storage_files.name_of(digest, suffix))


def has_weights(fleet: Fleet, name: str) -> bool:
    """Whether the initial weights of that content are there."""
    digest, suffix = _parts(name)
    if suffix != SUFFIX:
        raise SpecError("initial_weights", f"{name!r:.100} does not end in {SUFFIX}")
    storage = Storage.of(fleet.settings)
    return storage.about(storage.initial(digest)) is not None


_KINDS = {"datasets": has_dataset, "weights": has_weights}


def _checked(kind: str) -> str:
    if kind not in _KINDS:
        raise NotFoundError(f"{kind!r:.40}: files are {' or '.join(_KINDS)}")
    return kind


def found(fleet: Fleet, kind: str, name: str) -> Any:
    """Whether a content is there. NotFoundError."""
    if not _KINDS[_checked(kind)](fleet, name):
        raise NotFoundError(f"{name}: there is no such file; upload it")
    return {"sha256": _parts(name)[0]}


async def upload(request: Request, fleet: Fleet, kind: str, name: str) -> Any:
    """Take a file in. TooLargeError, DatasetError, SpecError, StorageError."""
    digest, suffix = _parts(name)
    await run_in_threadpool(_KINDS[_checked(kind)], fleet, name)
    _check_room(request, fleet.settings)
    if kind == "datasets":
        with storage_files.draft(fleet.settings) as draft:
            await _received(request, draft, digest, fleet.settings.max_upload_bytes)
            await run_in_threadpool(
                storage_files.keep, fleet.settings, draft, storage_files.name_of(digest, suffix)
            )
        return {"sha256": digest}
    with TemporaryDirectory(dir=_folder(fleet.settings), prefix=".upload-") as folder:
        path = Path(folder) / f"weights{SUFFIX}"
        await _received(request, path, digest, fleet.settings.max_upload_bytes)
        has_optimizer = request.query_params.get("with_optimizer") == "True"
        start = await run_in_threadpool(
            lambda: keep(path, fleet.settings, with_optimizer=has_optimizer)
        )
    return {"sha256": start.sha256}


def weights(fleet: Fleet, job_id: int) -> Response:
    """The weights file of a job. StateError before it has succeeded, StorageError."""
    path = fleet.job(job_id).weights_path
    if not path.is_file():
        raise StorageError(f"the weights of job {job_id} are not in the storage any more")
    return FileResponse(path, media_type="application/x-hdf5")


def checkpoint(fleet: Fleet, job_id: int) -> Response:
    """The newest checkpoint of a job. StateError before the first, StorageError."""
    row = fleet.job(job_id).row
    if row.checkpoint_path is None:
        raise StateError(f"job {job_id} has no checkpoint: it is {row.status}")
    path = Storage.of(fleet.settings).local(row.checkpoint_path, row.checkpoint_sha256)
    if not path.is_file():
        raise StorageError(f"the checkpoint of job {job_id} is not in the storage any more")
    return FileResponse(path, media_type="application/x-hdf5")


def dataset(fleet: Fleet, job_id: int) -> Any:
    """The files of a job's dataset: `path` as the specification has it, and `sha256`."""
    files = _dataset_files(fleet, job_id)
    return [{"path": name, "sha256": sha256(path)} for name, path in files.items()]


def dataset_file(fleet: Fleet, job_id: int, name: str | None) -> Response:
    """One of these files."""
    files = _dataset_files(fleet, job_id)
    if name not in files:
        raise NotFoundError(f"path: {name!r:.80} is not a file of the dataset of job {job_id}")
    return FileResponse(files[name], media_type="application/octet-stream")


def _dataset_files(fleet: Fleet, job_id: int) -> dict[str, Path]:
    """Below the data root or uploaded. DatasetError for what is neither, or not here."""
    spec = fleet.job(job_id).spec.dataset
    if spec.function is not None:
        raise DatasetError(f"the data of job {job_id} come from a function, not from a file")
    location = locate(spec, fleet.settings.replace(data_root_only=True))
    if location is None:
        raise DatasetError(f"the dataset of job {job_id} is not visible on the API's host")
    if location.path is not None:
        return {spec.path: location.path}
    return {spec.files[name]: path for name, path in location.files.items()}


def _parts(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is None:
        raise FitfleetError(f"{name!r:.100}: a file is named by its sha256 and a suffix")
    return match["sha256"], match["suffix"]


def _check_room(request: Request, settings: Settings) -> None:
    """Refuse before the first byte what would not fit."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise FitfleetError("Content-Length: is missing; a file is sent with its size")
    _check_size(int(length), settings.max_upload_bytes)
    free = shutil.disk_usage(_folder(settings)).free
    if int(length) > free - _SPARE_BYTES:
        raise StorageError(
            f"the storage has {max(0, free - _SPARE_BYTES):,} bytes for it, the file has"
            f" {int(length):,}; an admin can free space with: fitfleet gc"
        )


def _folder(settings: Settings) -> Path:
    folder = Storage.of(settings).root  # of a bucket, where files lie before they are put
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(
            f"the file has {size:,} bytes; the fleet's setting max_upload_bytes allows {limit:,}:"
            " put it below the fleet's data root, and name it there"
        )


async def _received(request: Request, path: Path, digest: str, limit: int) -> None:
    """Write the body to a file. DatasetError if its content is not that of the hash."""
    content, size, buffer = hashlib.sha256(), 0, bytearray()
    with path.open("wb") as file:
        async for chunk in request.stream():
            buffer += chunk
            size += len(chunk)
            _check_size(size, limit)
            if len(buffer) >= _BLOCK:
                await run_in_threadpool(_write, file, content, bytes(buffer))
                buffer.clear()
        await run_in_threadpool(_write, file, content, bytes(buffer))
    if content.hexdigest() != digest:
        raise DatasetError(
            f"the received file has the sha256 {content.hexdigest()[:12]}, not"
            f" {digest[:12]}; the file has"
            " changed, or was cut: send it again"
        )


def _write(file: IO[bytes], content: Any, block: bytes) -> None:
    content.update(block)
    file.write(block)
