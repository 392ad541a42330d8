"""Archiving a finished experiment: its rows as Parquet and its weights in the storage, then `rm`.

`.archive/<experiment>-<number>-<random>/` has Parquet files for readers, in `tables/` those that
`restore` needs besides, the kept weights in `weights/`, checkpoints in `checkpoints/`, and, written
last, `archive.json`. A folder without that was interrupted.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fitfleet.db.accounts import access
from fitfleet.db.jobs import archive as source
from fitfleet.db.jobs import dependencies, retention
from fitfleet.db.jobs import removal as table
from fitfleet.db.session import Database
from fitfleet.errors import MissingExtraError, NotFoundError, StateError, StorageError
from fitfleet.scheduler.removal import remove_experiment
from fitfleet.settings import Settings
from fitfleet.spec.versions import installed
from fitfleet.storage import ARCHIVE, SUFFIX, Storage, sha256

MANIFEST = "archive.json"


@dataclass
class Archive:
    """What was archived; `archive.json` has the same."""

    experiment: str
    folder: str  # relative to the storage
    fitfleet: str = field(default_factory=installed)
    rows: dict[str, int] = field(default_factory=dict)  # of each table
    files: dict[str, str] = field(default_factory=dict)  # path in the folder -> sha256
    missing: list[int] = field(default_factory=list)  # jobs whose weights are not there any more
    size_bytes: int = 0


def archive(database: Database, settings: Settings, name: str) -> Archive:
    """Write the rows of an experiment and its weights to the storage, check them, and remove it.

    Logs are not kept. NotFoundError; StateError if a job has not ended, if another
    one waits for its weights, or if one has run meanwhile; StorageError; MissingExtraError. After
    an error the experiment is as it was, and nothing is left in the storage.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "parquet")
    with database.read() as c:
        before = _archivable(c, name)
    storage = Storage.of(settings)
    storage.check_reachable()
    folder = f"{ARCHIVE}/{Storage.folder(name)}-{before.number}-{uuid.uuid4().hex[:8]}"
    archived = Archive(name, folder)
    try:
        with tempfile.TemporaryDirectory() as here:
            for part, file in _written(database, before.number, Path(here), archived.rows):
                _put(storage, archived, file, f"{part}.parquet")
        for kind, job_id, path, digest in _files(database, before.number):
            if storage.about(path) is not None:
                file = _whole(storage, path, digest)
                _put(storage, archived, file, kept_name(kind, job_id))
            elif kind == "weights":
                archived.missing.append(job_id)
        _check(database, storage, before.number, archived)
        with tempfile.TemporaryDirectory() as here:
            manifest = Path(here, MANIFEST)
            manifest.write_text(json.dumps(asdict(archived), indent=1))
            _put(storage, archived, manifest, MANIFEST)
        remove_experiment(database, settings, name, only=before)
    except BaseException:
        with database.read() as c:
            is_there = source.state(c, name) is not None
        for name_there in archived.files if is_there else ():
            storage.remove_with_folders(f"{folder}/{name_there}")
        raise
    return archived


def archive_due(database: Database, settings: Settings) -> Iterator[Archive]:
    """Archive the experiments that ended `archive_days` ago."""
    with database.read() as c:
        parents = dependencies.needed_parents(c)
        names = source.due(c, settings.archive_days * 86_400.0)
        due = [name for name in names if not parents & set(_numbers(c, name))]
    for name in due:
        yield archive(database, settings, name)


def _archivable(c: Any, name: str) -> source.State:
    state = source.state(c, name)
    if state is None:
        raise NotFoundError(
            f"there is no experiment {name!r} with jobs; `fitfleet ps` lists those there"
        )
    access.check_experiment(c, "archive", name)
    running, count = table.open_jobs(c, [state.number])
    if running:
        raise StateError(
            f"not archived: {len(running)} of {count} jobs have not ended; cancel them first:"
            f" fitfleet cancel -e {shlex.quote(name)}"
        )
    waited_for = dependencies.needed_parents(c) & set(_numbers(c, name))
    if waited_for:
        raise StateError(
            f"not archived: another job waits for the weights of job {min(waited_for)}; archive"
            f" {name!r} when that one has ended"
        )
    return state


def _numbers(c: Any, name: str) -> list[int]:
    state = source.state(c, name)
    return [] if state is None else [n for part in source.parts(c, state.number) for n in part]


def _parts(database: Database, number: int, name: str) -> Iterator[Any]:
    """What a table has of each part of the jobs, as Arrow tables."""
    if name in source.OF_EXPERIMENT:
        with database.read() as c:
            rows = source.rows_of_experiment(c, name, number)
        yield _arrow(name, rows)
        return
    with database.read() as c:
        parts = source.parts(c, number)
    for job_ids in parts:
        with database.read() as c:
            yield _arrow(name, list(source.rows(c, name, job_ids)))


def schema(name: str) -> Any:
    """The Arrow schema of a table."""
    import pyarrow

    types = {
        **{"integer": pyarrow.int64(), "real": pyarrow.float64()},
        **{"boolean": pyarrow.bool_(), "binary": pyarrow.binary()},
    }
    columns = source.TABLES[name].items()
    return pyarrow.schema([(c, types.get(kind, pyarrow.string())) for c, kind in columns])


def _arrow(name: str, rows: list[Any]) -> Any:
    import pyarrow

    columns = schema(name)
    arrays = [
        pyarrow.array([row[i] for row in rows], column.type) for i, column in enumerate(columns)
    ]
    return pyarrow.table(arrays, schema=columns)


def _written(
    database: Database, number: int, here: Path, counts: dict[str, int]
) -> Iterator[tuple[str, Path]]:
    """(table, its Parquet file with a row group for each part), one after the other."""
    from pyarrow import parquet

    for name in source.TABLES:
        target = here / "table.parquet"
        with parquet.ParquetWriter(target, schema(name), compression="zstd") as writer:
            counts[name] = 0
            for part in _parts(database, number, name):
                if part.num_rows:
                    writer.write_table(part, row_group_size=part.num_rows)
                counts[name] += part.num_rows
        yield name, target
        target.unlink()


def kept_name(kind: str, job_id: int) -> str:
    """The file of an archive that has the weights or checkpoint of a job."""
    return f"{kind}/{job_id}{SUFFIX}"


def _put(storage: Storage, archived: Archive, path: Path, name: str) -> None:
    relative = f"{archived.folder}/{name}"
    archived.files[name] = sha256(path)
    archived.size_bytes += path.stat().st_size
    put(storage, path, relative)


def put(storage: Storage, path: Path, relative: str) -> None:
    """Copy a file into the storage, whole or not at all."""
    with storage.draft(relative) as draft:
        shutil.copyfile(path, draft.path)
        storage.keep(draft, relative)


def _files(database: Database, number: int) -> Iterator[tuple[str, int, str, str | None]]:
    """(weights or checkpoints, job, path, sha256) of the files that rows point to."""
    for page in retention.all_pages(database, number):
        for job in page:
            if job.artifact_path is not None:
                yield "weights", job.job_id, job.artifact_path, job.artifact_sha256
            if job.checkpoint_path not in (None, job.artifact_path):
                yield "checkpoints", job.job_id, job.checkpoint_path, job.checkpoint_sha256


def _whole(storage: Storage, path: str, digest: str | None) -> Path:
    file = storage.local(path, digest)
    if digest not in (None, sha256(file)):
        raise StorageError(
            f"not archived: {storage.shown(path)} is not the file that was written; move it away"
        )
    return file


def _check(database: Database, storage: Storage, number: int, archived: Archive) -> None:
    """Read all files back, and compare them with what was written and with the rows."""
    from pyarrow import parquet

    for name, digest in archived.files.items():
        file = storage.local(f"{archived.folder}/{name}", digest)
        if sha256(file) != digest:
            raise StorageError(f"{storage.shown(archived.folder)}/{name}: is not what was written")
    for name in source.TABLES:
        file_name = f"{name}.parquet"
        path = storage.local(f"{archived.folder}/{file_name}", archived.files[file_name])
        with parquet.ParquetFile(path) as file:
            groups = (file.read_row_group(i) for i in range(file.num_row_groups))
            for part in _parts(database, number, name):
                if part.num_rows and not part.equals(next(groups, None)):
                    raise StateError(
                        f"not archived: {name} of {archived.experiment!r} have changed meanwhile;"
                        " try again"
                    )
