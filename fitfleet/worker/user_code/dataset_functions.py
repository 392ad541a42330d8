"""A dataset that is a function of the user: called by a worker, its rows written once.

What the function gave is a file of the storage, and a note beside it tells which function of which
code that was: all jobs that name it, and every attempt of them, train on the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fitfleet.data.description.description import ROLES
from fitfleet.data.files import storage_files
from fitfleet.data.formats.file import hasher
from fitfleet.data.ingest.script_arrays import stored as written_batches
from fitfleet.data.ingest.stored_arrays import written
from fitfleet.errors import DatasetError, FitfleetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec, JobSpec
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.user_code import imports

_NOTE = ".json"


def read_rows(spec: JobSpec, settings: Settings) -> DatasetSpec:
    """The dataset as a file, with the fold and the other options of the job.

    Raises DatasetError for a function that raises, gives no data, or does not end within
    memory_bytes; SpecError for one that this worker does not trust; StorageError.
    """
    function = spec.dataset.function
    assert function is not None
    called = {"code": spec.code, "function": function.model_dump()}
    key = str(hasher(json.dumps(called, sort_keys=True).encode()).hexdigest())
    note = storage_files.name_of(key, _NOTE)
    # Code that is no part of the job may be another one by now.
    known = storage_files.note(settings, note) if spec.code is not None else None
    if known is None or not storage_files.is_there(
        settings, storage_files.name_of(str(known["digest"]))
    ):
        rows_given = _called(spec, settings)
        digest = rows_given.path.rpartition("/")[2].removesuffix(".h5")
        fresh = {"digest": digest, "roles": rows_given.model_dump(mode="json", include=set(ROLES))}
        known = _noted(settings, note, fresh) if spec.code is not None else fresh
    storage_files.is_there(settings, note)  # its time says that it is wanted
    path = storage_files.path_in_spec(str(known["digest"]))
    kept = spec.dataset.model_dump(include={"nan", "fold"})
    roles: Any = known["roles"]
    return DatasetSpec(path=path, **{**roles, **kept})


def _called(spec: JobSpec, settings: Settings) -> DatasetSpec:
    named = spec.dataset.function
    assert named is not None
    function = imports.function(named.path, settings, "dataset")
    try:
        print(f"reading the rows of {named.path}", flush=True)
        value = function(**named.arguments)
        if isinstance(value, Mapping) and not set(value) <= {"x", "y", "sample_weight"}:
            return _of_roles(value, named.path, settings)
        return written_batches(value, settings)
    except DatasetError as error:
        raise DatasetError(f"{named.path}: {error}") from None
    except FitfleetError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise DatasetError(
            f"dataset: {named.path} raised {type(error).__name__}: {explanation(error)}"
        ) from error


def _of_roles(value: Mapping[str, Any], path: str, settings: Settings) -> DatasetSpec:
    """Of {"x": ..., "y": ..., "x_val": ...}."""
    unknown = next((name for name in value if name not in ROLES), None)
    if unknown is not None or not {"x", "y"} <= set(value):
        raise DatasetError(f"{unknown or 'x or y'!s:.60} is not among {', '.join(ROLES)}")
    return written({name: part for name, part in value.items() if part is not None}, settings)


def _noted(settings: Settings, note: str, fresh: dict[str, Any]) -> dict[str, Any]:
    """The note of the first process."""
    first = storage_files.note(settings, note)
    # If it tells of another file, that one was removed.
    is_replacing = first is not None and first["digest"] != fresh["digest"]
    return storage_files.write_note(settings, note, fresh, is_replacing=is_replacing)
