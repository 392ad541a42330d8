"""Routes that read: jobs, their progress, comparisons. Each is a function of the fleet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitfleet.api.requests import Document, TooLargeError
from fitfleet.client import logs as log_files
from fitfleet.client.display.progress_snapshot import outcome, take
from fitfleet.client.fleet import Fleet
from fitfleet.client.remote import json_forms
from fitfleet.db.reading import lookup
from fitfleet.errors import FitfleetError
from fitfleet.spec.versions import installed

_LOG_BYTES = 2**20
_MAX_FAILURES = 1_000
_MAX_ROWS = 50_000
# pandas evaluates it as a program, with all that a program may do.
_WHERE = "where: the API takes no filter; rank by it with a connection to the database"


def fleet_facts(fleet: Fleet, _: Document) -> Any:
    """What is asked first: does it answer, and which version."""
    return {"version": installed(), "lease_s": fleet.settings.lease_s}


def disk(fleet: Fleet, _: Document) -> Any:
    """What the fleet uses of the disk."""
    return fleet.disk_usage()


def experiments(fleet: Fleet, _: Document) -> Any:
    """Each with its jobs by status."""
    return fleet.experiments()


def recorded(fleet: Fleet, document: Document) -> Any:
    """Values and scores of jobs."""
    return fleet.recorded(document.numbers("jobs"))


def unserved(fleet: Fleet, document: Document) -> Any:
    """Sentences on queues without a worker."""
    return fleet.unserved(document.texts("queues"))


def jobs(fleet: Fleet, query: Document) -> Any:
    """Rows by experiment and status, oldest first; with `limit` the newest N."""
    limit = query.whole("limit")
    most = _MAX_ROWS + 1 if limit is None else limit
    handles = fleet.jobs(query.text("experiment"), query.texts("status") or None, limit=most)
    if len(handles) > _MAX_ROWS:
        raise TooLargeError(
            f"limit: there are more than {_MAX_ROWS:,} such jobs; ask for the newest {_MAX_ROWS:,},"
            " or for an experiment"
        )
    return [job.row for job in handles]


def rows(fleet: Fleet, document: Document) -> Any:
    """Rows by number."""
    with fleet.database.read() as c:
        return lookup.jobs_by_id(c, document.numbers("jobs"))


def unfinished(fleet: Fleet, query: Document) -> Any:
    """Numbers of jobs that have not ended."""
    return fleet.unfinished(query.text("experiment"))


def snapshot(fleet: Fleet, document: Document) -> Any:
    """The state of jobs."""
    return take(fleet.database, document.numbers("jobs"), fleet.settings.lease_s)


def ended(fleet: Fleet, document: Document) -> Any:
    """How many ended how, and the first that failed."""
    most = min(document.whole("failures") or 0, _MAX_FAILURES)
    counts, failed = outcome(fleet.database, document.numbers("jobs"), most)
    return {"counts": counts, "failed": failed}


def compare(fleet: Fleet, document: Document) -> Any:
    """`Fleet.compare` as a table."""
    frame = fleet.compare(
        document.text("experiment") or "default",
        document.text("metric"),
        direction=document.text("direction"),
        at=document.text("at", "last"),  # type: ignore[arg-type]
        top=document.whole("top"),
        status=document.texts("status") or None,
    )
    return json_forms.frame_document(frame)


def best(fleet: Fleet, document: Document) -> Any:
    """The row of `Fleet.best`."""
    return fleet.best(
        document.text("experiment") or "default",
        document.text("metric"),
        direction=document.text("direction"),
        at=document.text("at", "last"),  # type: ignore[arg-type]
    ).row


def rank(fleet: Fleet, document: Document) -> Any:
    """`Fleet.rank` as a table, without its filter."""
    if document.text("where") is not None:
        raise FitfleetError(_WHERE)
    frame = fleet.rank(
        document.text("experiment") or "default",
        document.texts("objective") or "val_loss",
        direction=document.texts("direction") or None,
        at=document.text("at", "last"),  # type: ignore[arg-type]
        by=document.texts("by") or None,
        top=document.whole("top"),
    )
    return json_forms.frame_document(frame)


def job_part(fleet: Fleet, job_id: int, name: str) -> Any:
    """One thing about a job."""
    return JOB_PARTS[name](fleet, job_id)


def _log(fleet: Fleet, job_id: int) -> Any:
    """The end of what the job printed."""
    job = fleet.job(job_id)
    path = log_files.log_path(fleet.settings, job_id, job.attempt)
    return {"text": _tail(path) if path.is_file() else job.logs()}


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LOG_BYTES))
        return file.read(_LOG_BYTES).decode(errors="replace")


def log_news(fleet: Fleet, job_id: int, document: Document) -> Any:
    """What the job printed since `seen`, the bytes read of each attempt; at most a MiB of each."""
    row = fleet.job(job_id).row
    given = document.mapping("seen")
    if not all(key.isdecimal() and type(value) is int for key, value in given.items()):
        raise FitfleetError(f"seen: {given!r:.60} does not say the bytes read of each attempt")
    seen = {int(attempt): max(0, count) for attempt, count in given.items()}
    pieces = list(log_files.news(fleet.settings, row, seen, _LOG_BYTES))
    return {"pieces": pieces, "seen": seen, "status": row.status}


JOB_PARTS: dict[str, Callable[[Fleet, int], Any]] = {
    "history": lambda fleet, job_id: json_forms.frame_document(fleet.job(job_id).history),
    "scores": lambda fleet, job_id: fleet.job(job_id).scores,
    "attempts": lambda fleet, job_id: fleet.job(job_id).attempts,
    "events": lambda fleet, job_id: fleet.job(job_id).events,
    "lineage": lambda fleet, job_id: fleet.job(job_id).lineage.to_dict("records"),
    "spec": lambda fleet, job_id: json.loads(fleet.job(job_id).spec.canonical()),
    "code": lambda fleet, job_id: fleet.job(job_id).code,
    "labels": lambda fleet, job_id: fleet.job(job_id).labels,
    "why": lambda fleet, job_id: fleet.job(job_id).why(),
    "log": _log,
}
GET: dict[str, Callable[[Fleet, Document], Any]] = {
    "fleet": fleet_facts,
    "experiments": experiments,
    "jobs": jobs,
    "unfinished": unfinished,
    "disk": disk,
}
# They ask by a document, which may be long, and change nothing.
POST: dict[str, Callable[[Fleet, Document], Any]] = {
    "rows": rows,
    "recorded": recorded,
    "unserved": unserved,
    "snapshot": snapshot,
    "outcome": ended,
    "compare": compare,
    "best": best,
    "rank": rank,
}
