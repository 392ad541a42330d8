"""What jobs compute, as it is stored: what many have in common once, the rest in their rows.

Repeats of a configuration differ in seed and fold, which `jobs` has as columns, and the options of
an experiment's jobs in little but their params. Jobs of older versions have their documents whole,
and are read alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Select, delete, select, update

from fitfleet.db import bulk
from fitfleet.db.dialect import chunks, insert_ignoring
from fitfleet.db.schema.tables import job_specs, jobs, shared_documents
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.json_text import canonical_json

_spec_part = shared_documents.alias("spec_part")
_options_part = shared_documents.alias("options_part")
# What `spec_of` and `options_of` read of a row, beside the job's seed, fold and params.
COLUMNS = (
    job_specs.c.spec,
    job_specs.c.options,
    _spec_part.c.document.label("spec_part"),
    _options_part.c.document.label("options_part"),
)
# JSON of a specification, in which seed and fold may be missing.
COMMON = sa.case((job_specs.c.spec_id.is_(None), job_specs.c.spec), else_=_spec_part.c.document)


def join(query: Select[Any]) -> Select[Any]:
    """The query over jobs, with what COLUMNS and COMMON need."""
    return (
        query.join_from(jobs, job_specs, job_specs.c.job_id == jobs.c.id)
        .outerjoin(_spec_part, _spec_part.c.id == job_specs.c.spec_id)
        .outerjoin(_options_part, _options_part.c.id == job_specs.c.options_id)
    )


def spec_of(row: Any) -> str:
    """Canonical JSON of the job's JobSpec."""
    if row.spec_part is None:
        return str(row.spec)
    document = json.loads(row.spec_part)
    document["seed"] = row.seed
    if row.fold is not None:
        document["dataset"]["fold"]["index"] = row.fold
    return canonical_json(document)


def options_of(row: Any) -> str:
    """Canonical JSON of the job's JobOptions."""
    if row.options_part is None:
        return str(row.options)
    return canonical_json({**json.loads(row.options_part), "params": json.loads(row.params)})


def insert_whole(c: Connection, rows: Sequence[tuple[int, str, str]]) -> None:
    """Store the JSON of (job, JobSpec, JobOptions) as new jobs have theirs."""
    parts = [
        (job_id, _without_seed(json.loads(spec)), _without_params(json.loads(options)))
        for job_id, spec, options in rows
    ]
    ids = store(c, {text for _, *texts in parts for text in texts})
    columns = ("job_id", "spec_id", "options_id")
    bulk.insert(c, job_specs, columns, [(job_id, ids[s], ids[o]) for job_id, s, o in parts])


def _without_seed(document: dict[str, Any]) -> str:
    del document["seed"]
    if document["dataset"].get("fold"):
        del document["dataset"]["fold"]["index"]
    return canonical_json(document)


def _without_params(document: dict[str, Any]) -> str:
    del document["params"]
    return canonical_json(document)


def shared_spec(spec: JobSpec) -> str:
    """JSON of all that repeats of a configuration have in common."""
    return _without_seed(spec.model_dump(mode="json"))


def shared_options(options: JobOptions) -> str:
    """JSON of all but the params."""
    return canonical_json(options.model_dump(mode="json", exclude={"params"}))


def store(c: Connection, documents: Collection[str]) -> dict[str, int]:
    """Document -> its number; those that are not there yet are stored.

    None of them is removed before this transaction ends.
    """
    hashes = {hashlib.sha256(text.encode()).hexdigest(): text for text in documents}
    ids = _held(c, hashes)
    # In the order of their hashes: two transactions would wait for each other in another one.
    missing = [{"sha256": h, "document": hashes[h]} for h in sorted(hashes.keys() - ids.keys())]
    if missing:
        c.execute(insert_ignoring(c, shared_documents), missing)
    ids |= _held(c, [row["sha256"] for row in missing])
    return {text: ids[sha256] for sha256, text in hashes.items()}


def _held(c: Connection, hashes: Iterable[str]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for chunk in chunks(sorted(hashes)):
        query = select(shared_documents.c.sha256, shared_documents.c.id)
        query = query.where(shared_documents.c.sha256.in_(chunk))
        if c.dialect.name == "postgresql":
            query = query.order_by(shared_documents.c.sha256)
            query = query.with_for_update(read=True, key_share=True)
        ids |= {row.sha256: row.id for row in c.execute(query)}
    return ids


def replace(c: Connection, job_id: int, spec: JobSpec) -> None:
    """Give a job another specification of the same seed and fold."""
    text = shared_spec(spec)
    values = {"spec": "", "spec_id": store(c, [text])[text]}
    c.execute(update(job_specs).where(job_specs.c.job_id == job_id).values(values))


def used_by(c: Connection, job_ids: sa.Select[tuple[int]]) -> set[int]:
    """The documents that these jobs share with each other or with more."""
    ids: set[int] = set()
    for column in (job_specs.c.spec_id, job_specs.c.options_id):
        query = select(column).where(job_specs.c.job_id.in_(job_ids), column.is_not(None))
        ids |= set(c.scalars(query.distinct()))
    return ids


def remove_unused(c: Connection, document_ids: Collection[int]) -> None:
    """Delete those of the documents that no job has any more."""
    for chunk in chunks(sorted(document_ids)):
        condition = shared_documents.c.id.in_(chunk)
        if c.dialect.name == "postgresql":
            # Jobs that are being submitted with one of them hold it; the next statement sees them.
            query = (
                select(shared_documents.c.id).where(condition).order_by(shared_documents.c.sha256)
            )
            c.execute(query.with_for_update()).all()
        columns = (job_specs.c.spec_id, job_specs.c.options_id)
        is_unused = [~sa.exists().where(column == shared_documents.c.id) for column in columns]
        c.execute(delete(shared_documents).where(condition, *is_unused))
