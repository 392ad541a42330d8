"""One job: its curves, scores, attempts, log, specification, and why it waits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from fitfleet.client.job import Job
from fitfleet.client.logs import log_path
from fitfleet.dashboard.board import Board, board_of
from fitfleet.db.reading import lookup
from fitfleet.errors import NotFoundError, StorageError

# When it should start depends on the time; a page asks every 5 s while it waits.
_WHY_S = 2.0
# Bytes that are read from the end of a log.
_LOG_BYTES = 64_000


def page(request: Request) -> Response:
    """The whole page."""
    board = board_of(request)
    return board.page(request, "job.html", **_context(board, _job(board, request)))


def part(request: Request) -> Response:
    """What changes of it."""
    board = board_of(request)
    job_id = request.path_params["job_id"]
    values = board.cached(
        ("job", job_id), lambda: _context(board, board.fleet.job(job_id)), most_s=_WHY_S
    )
    return board.page(request, "job_body.html", **values)


def _job(board: Board, request: Request) -> Job:
    job_id = request.path_params["job_id"]
    return board.cached(("row", job_id), lambda: board.fleet.job(job_id))


def _context(board: Board, job: Job) -> dict[str, Any]:
    with board.fleet.database.read() as c:
        points = lookup.kept_points(c, [job.id])
        scores = lookup.scores_of(c, [job.id]).get(job.id, {})
        documents = lookup.documents(c, job.id)
    attempts = job.attempts
    names = [point.name for point in points]
    return {
        "job": job.row,
        "metrics": sorted(names, key=lambda n: (n.removeprefix("val_") != "loss", n)),
        "last": {point.name: point.value for point in points},
        "scores": scores,
        "labels": job.labels,
        "why": None if job.row.status.is_terminal else job.why(),
        "attempts": attempts,
        "timeline": timeline(job, attempts),
        "events": job.events,
        "environment": _environment(attempts),
        "spec": json.loads(documents[0]) if documents else None,
        "options": json.loads(documents[1]) if documents else None,
        "log": log_of(board, job, attempts),
        "error": job.error,
    }


def _environment(attempts: list[dict[str, Any]]) -> dict[str, Any]:
    environments = [a["environment"] for a in attempts if a["environment"]]
    last: dict[str, Any] = json.loads(environments[-1]) if environments else {}
    return {name: value for name, value in last.items() if value not in (None, "")}


def timeline(job: Job, attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What happened, in order: submitted, each attempt's start and end, and the events between."""
    row = job.row
    entries = [{"at": row.submitted_at, "what": "submitted", "detail": "", "kind": ""}]
    for attempt in attempts:
        number = attempt["attempt"]
        first = attempt["first_epoch"]
        is_new = (first or 0) <= job.spec.initial_epoch
        how = f", from epoch {first + 1}" if first else ""
        entries.append(
            {
                "at": attempt["started_at"],
                "what": f"attempt {number} {'started' if is_new else 'resumed'}{how}",
                "detail": f"on {attempt['worker']}",
                "kind": "started",
            }
        )
        if attempt["ended_at"] is not None:
            entries.append(
                {
                    "at": attempt["ended_at"],
                    "what": f"attempt {number} ended: {attempt['outcome']}",
                    "detail": attempt["message"] or "",
                    "kind": str(attempt["outcome"]),
                }
            )
    for event in job.events:
        if event["attempt"] is None:
            entry = {"at": event["at"], "what": event["kind"], "detail": event["detail"] or ""}
            entries.append({**entry, "kind": ""})
    return sorted(entries, key=lambda entry: float(entry["at"]))


def log_of(board: Board, job: Job, attempts: list[dict[str, Any]]) -> dict[str, Any]:
    """The end of what the latest attempt printed, and where the next piece begins."""
    path = log_path(board.fleet.settings, job.id, job.row.attempt)
    if job.row.attempt and path.is_file():
        start = max(0, path.stat().st_size - _LOG_BYTES)
        text, end = _read(path, start)
        return {"text": text, "offset": end, "attempt": job.row.attempt, "is_cut": start > 0}
    tails = [attempt["log_tail"] for attempt in attempts if attempt["log_tail"]]
    text = str(tails[-1]) if tails else ""
    return {"text": text, "offset": 0, "attempt": job.row.attempt, "is_cut": False}


def _read(path: Path, start: int) -> tuple[str, int]:
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(_LOG_BYTES)
    return content.decode(errors="replace"), start + len(content)


def log(request: Request) -> Response:
    """What was printed since; the page appends it and continues from there."""
    board = board_of(request)
    job = _job(board, request)
    offset = _number(request.query_params.get("offset"))
    attempt = _number(request.query_params.get("attempt"))
    path = log_path(board.fleet.settings, job.id, job.row.attempt)
    is_same = attempt == job.row.attempt and path.is_file()
    if is_same and path.stat().st_size >= offset:
        text, end = _read(path, offset)
        piece = {"text": text, "offset": end, "attempt": attempt, "is_cut": False}
    else:
        piece = log_of(board, job, job.attempts)
    html = board.templates.from_string("{{ text|ansi }}").render(text=piece["text"])
    return JSONResponse(
        {
            "html": html,
            "offset": piece["offset"],
            "attempt": piece["attempt"],
            "is_new": not is_same,
            "is_ended": job.row.status.is_terminal,
        }
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0


def spec(request: Request) -> Response:
    """The specification as JSON."""
    board = board_of(request)
    with board.fleet.database.read() as c:
        documents = lookup.documents(c, request.path_params["job_id"])
    if documents is None:
        raise NotFoundError(f"there is no specification of job {request.path_params['job_id']}")
    kind = f'attachment; filename="job-{request.path_params["job_id"]}.json"'
    return Response(documents[0], 200, {"content-disposition": kind}, "application/json")


def weights(request: Request) -> Response:
    """The HDF5 file with the weights of a job that has succeeded."""
    job = _job(board_of(request), request)
    path = job.weights_path
    if not path.is_file():
        raise StorageError(
            f"the weights of job {job.id} are not in the storage of this machine; was it removed,"
            " or is FITFLEET_STORAGE another folder here?"
        )
    return FileResponse(path, filename=f"job-{job.id}.weights.h5")
