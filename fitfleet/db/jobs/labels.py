"""Tags and a note on a job: what people write to find it again. Nothing is computed from it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from fitfleet.db.accounts import access
from fitfleet.db.dialect import storable_text, upsert
from fitfleet.db.schema.tables import job_labels
from fitfleet.errors import FitfleetError

MAX_TAG_LENGTH = 64  # characters
MAX_TAGS = 50
MAX_NOTE_LENGTH = 10_000


@dataclass(frozen=True)
class Labels:
    """What is written on a job."""

    tags: tuple[str, ...] = ()
    note: str = ""


def labels_of(c: Connection, job_ids: Sequence[int]) -> dict[int, Labels]:
    """Of the jobs that have some."""
    query = select(job_labels).where(job_labels.c.job_id.in_(job_ids))
    return {row.job_id: Labels(tuple(json.loads(row.tags)), row.note) for row in c.execute(query)}


def tag(
    c: Connection, job_id: int, add: Collection[str] = (), remove: Collection[str] = ()
) -> tuple[str, ...]:
    """Add and remove tags; those that the job has then.

    FitfleetError for a tag that is empty, longer than 64 characters or one too many, NotFoundError
    if there is no such job.
    """
    for name in add:
        if not name.strip() or len(name) > MAX_TAG_LENGTH or not name.isprintable():
            raise FitfleetError(
                f"tag: {name[:80]!r} is not a word of 1 to {MAX_TAG_LENGTH} printable characters"
            )
    access.change_job(c, "tag", job_id, ", ".join([*add, *(f"-{name}" for name in remove)]))
    labels = _labels_of_job(c, job_id)
    tags = sorted(({*labels.tags} | {name.strip() for name in add}) - set(remove))
    if len(tags) > MAX_TAGS:
        raise FitfleetError(
            f"tag: job {job_id} would have {len(tags)} tags; {MAX_TAGS} is the limit"
        )
    _write(c, job_id, Labels(tuple(tags), labels.note))
    return tuple(tags)


def note(c: Connection, job_id: int, text: str) -> None:
    """Replace the note; empty removes it. NotFoundError if there is no such job."""
    if len(text) > MAX_NOTE_LENGTH:
        raise FitfleetError(
            f"note: {len(text):,} characters are more than {MAX_NOTE_LENGTH:,}; keep"
            " the rest elsewhere"
        )
    access.change_job(c, "note", job_id)
    _write(c, job_id, Labels(_labels_of_job(c, job_id).tags, storable_text(text)))


def _labels_of_job(c: Connection, job_id: int) -> Labels:
    return labels_of(c, [job_id]).get(job_id, Labels())


def _write(c: Connection, job_id: int, labels: Labels) -> None:
    row = {"job_id": job_id, "tags": json.dumps(labels.tags), "note": labels.note}
    c.execute(upsert(c, job_labels, ["tags", "note"]), [row])
