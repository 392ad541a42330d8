"""The trace of a job, out of its rows: spans without any library.

job ─┬─ wait
     ├─ attempt ─┬─ load, train (its epochs are events), evaluate, save
     │           └─ commit
     ├─ wait
     └─ attempt ...
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fitfleet.db.reading.traces import EndedJob
from fitfleet.states import FailureClass, JobStatus

_MESSAGE = 500  # characters
_FAILURES = frozenset(FailureClass)


@dataclass(frozen=True)
class SpanFacts:
    """A span: times in seconds since 1970, keys unique within the trace."""

    name: str
    key: str
    parent: str | None  # its key; None: the root
    start: float
    end: float
    attributes: dict[str, str | int] = field(default_factory=dict)
    events: tuple[tuple[str, float, dict[str, int]], ...] = ()
    error: tuple[str, str] | None = None  # class and message of a failure


def spans_of(job: EndedJob) -> Iterator[SpanFacts]:
    """All spans of a job since its submission, or since it was retried or extended last."""
    begins = job.continued_at or job.row.submitted_at
    # Clocks of transactions may be a moment apart: an attempt never begins before its job.
    attempts = [row for row in job.attempts if row.started_at >= begins]
    first = attempts[0].attempt if attempts else job.row.finished_at
    root = f"job {first}"
    yield SpanFacts("job", root, None, begins, job.row.finished_at, _of_job(job), error=_end(job))
    since = begins
    for row in attempts:
        yield _wait(job, root, since, row.started_at, f"wait {row.attempt}")
        ended_at = job.row.finished_at if row.ended_at is None else row.ended_at
        yield from _attempt(row, root, ended_at)
        since = ended_at
    if not attempts:
        yield _wait(job, root, since, job.row.finished_at, f"wait {first}")


def _of_job(job: EndedJob) -> dict[str, str | int]:
    row = job.row
    return {
        "fitfleet.job.id": row.id,
        "fitfleet.experiment": row.experiment,
        "fitfleet.queue": row.queue,
        "fitfleet.status": str(row.status).lower(),
        "fitfleet.seed": row.seed,
        "fitfleet.priority": row.priority,
        "fitfleet.epochs": row.epoch,
    }


def _end(job: EndedJob) -> tuple[str, str] | None:
    row = job.row
    if row.status != JobStatus.FAILED:
        return None
    return str(row.failure_class), (row.failure_message or "")[:_MESSAGE]


def _wait(job: EndedJob, root: str, start: float, end: float, key: str) -> SpanFacts:
    about: dict[str, str | int] = {
        "fitfleet.job.id": job.row.id,
        "fitfleet.queue": job.row.queue,
    }
    sent_at = job.row.dispatched_at  # of its last message
    is_here = sent_at is not None and start <= sent_at <= end
    events: tuple[tuple[str, float, dict[str, int]], ...] = ()
    if is_here:
        events = (("dispatched", float(sent_at), {}),)
    return SpanFacts("wait", key, root, start, end, about, events)


def _attempt(row: Any, root: str, ended_at: float) -> Iterator[SpanFacts]:
    key = f"attempt {row.attempt}"
    is_failure = row.outcome in _FAILURES
    error = (str(row.outcome), (row.message or "")[:_MESSAGE]) if is_failure else None
    start = row.started_at
    yield SpanFacts("attempt", key, root, start, ended_at, _of_attempt(row), error=error)
    phases = json.loads(row.phases or "{}")
    epochs = phases.pop("epochs", [])
    about = {name: _of_attempt(row)[name] for name in ("fitfleet.job.id", "fitfleet.attempt")}
    for name, (begin, end) in phases.items():
        events = tuple(
            ("epoch", start + at, {"fitfleet.epoch": number})
            for number, at in (epochs if name == "train" else ())
        )
        yield SpanFacts(name, f"{key} {name}", key, start + begin, start + end, about, events)
    if row.outcome == "succeeded" and "save" in phases:
        saved = start + phases["save"][1]
        yield SpanFacts("commit", f"{key} commit", key, saved, max(saved, ended_at), about)


def _of_attempt(row: Any) -> dict[str, str | int]:
    about = {
        "fitfleet.job.id": row.job_id,
        "fitfleet.attempt": row.attempt,
        "fitfleet.worker": row.worker,
        "fitfleet.engine": row.engine,
        "fitfleet.first_epoch": row.first_epoch,
        "fitfleet.outcome": None if row.outcome is None else str(row.outcome),
        "fitfleet.gpus": row.gpus,
    }
    return {name: value for name, value in about.items() if value is not None}
