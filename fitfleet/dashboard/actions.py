"""What a page may change: the very functions that the command line uses, one job or many."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fitfleet.client.job import Job
from fitfleet.dashboard.board import Board, board_of
from fitfleet.dashboard.view import numbers_in
from fitfleet.db.fleet import workers as worker_table
from fitfleet.errors import FitfleetError

_MAX_BYTES = 100_000
_MAX_JOBS = 10_000

Form = QueryParams


async def form_of(request: Request) -> Form:
    """The fields of a form, which is small."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise FitfleetError(f"the form is longer than {_MAX_BYTES:,} bytes")
    pairs = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return QueryParams([(name, value) for name, values in pairs.items() for value in values])


def _jobs(board: Board, form: Form) -> list[Job]:
    ids = numbers_in(",".join(form.getlist("jobs")))
    if not ids:
        raise FitfleetError("no job is selected; tick some in the table")
    if len(ids) > _MAX_JOBS:
        raise FitfleetError(f"{len(ids):,} jobs are selected; {_MAX_JOBS:,} may be at once")
    return [board.fleet.job(job_id) for job_id in ids]


def _each(board: Board, form: Form, done: str, act: Callable[[Job], object]) -> str:
    """Act on each; the first error is shown, the others are done."""
    jobs, refused = _jobs(board, form), []
    for job in jobs:
        try:
            act(job)
        except FitfleetError as error:
            refused.append(str(error))
    count = len(jobs) - len(refused)
    text = f"{count} {'job' if count == 1 else 'jobs'} {done}"
    return f"{text}; {len(refused)} refused: {refused[0]}" if refused else text


def cancel(board: Board, form: Form) -> str:
    """Waiting jobs end at once, running ones at their next heartbeat."""
    return _each(board, form, "cancelled", lambda job: job.cancel())


def retry(board: Board, form: Form) -> str:
    """Ended ones are queued again."""
    return _each(board, form, "queued again", lambda job: job.retry())


def pause(board: Board, form: Form) -> str:
    """No more jobs of an experiment start."""
    name = form.get("name", "")
    board.fleet.pause(name)
    return f"{name} is paused"


def resume(board: Board, form: Form) -> str:
    """They do again."""
    name = form.get("name", "")
    board.fleet.resume(name)
    return f"{name} is resumed"


def drain(board: Board, form: Form) -> str:
    """A worker ends; its fits checkpoint and go back to the queue."""
    with board.fleet.database.begin() as c:
        services = worker_table.drain(c, form.get("worker", ""))
    return f"draining {', '.join(services)}: jobs checkpoint and requeue"


def limit(board: Board, form: Form) -> str:
    """How many jobs of an experiment may be in flight; empty: as many as there is room for."""
    name, text = form.get("name", ""), form.get("most", "").strip()
    limit = _whole("max_running", text) if text else None
    board.fleet.limit(name, limit)
    return f"{name} has no limit" if limit is None else f"{name}: at most {limit} jobs at once"


def priority(board: Board, form: Form) -> str:
    """The larger goes first."""
    value = _whole("priority", form.get("value", ""))
    return _each(board, form, f"have priority {value}", lambda job: job.set_priority(value))


def tag(board: Board, form: Form) -> str:
    """Tags, with commas between; one with a minus before it is taken off."""
    names = [part.strip() for part in form.get("tags", "").split(",") if part.strip()]
    if not names:
        raise FitfleetError("tag: no tag was given")
    add = [name for name in names if not name.startswith("-")]
    remove = [name[1:].strip() for name in names if name.startswith("-")]

    def act(job: Job) -> None:
        if add:
            job.tag(*add)
        if remove:
            job.untag(*remove)

    return _each(board, form, "tagged", act)


def note(board: Board, form: Form) -> str:
    """One note on each of the jobs."""
    text = form.get("note", "")
    return _each(board, form, "noted", lambda job: job.write_note(text))


def _whole(name: str, text: str) -> int:
    try:
        value = int(text.strip())
    except ValueError:
        raise FitfleetError(f"{name}: {text!r} is not a whole number") from None
    if abs(value) >= 10**6:
        raise FitfleetError(f"{name}: {value} is not between -999,999 and 999,999")
    return value


ACTIONS: dict[str, Callable[[Board, Form], str]] = {
    "cancel": cancel,
    "retry": retry,
    "pause": pause,
    "resume": resume,
    "drain": drain,
    "limit": limit,
    "priority": priority,
    "tag": tag,
    "note": note,
}


def run(board: Board, name: str, form: Form) -> Response:
    """Do it, and say so in one sentence; every table of the page is read again then."""
    if board.options.is_read_only:
        return _said(board, "This dashboard was started with --read-only.", 403)
    act = ACTIONS.get(name)
    if act is None:
        return _said(board, f"There is no action {name!r}.", 404)
    try:
        return _said(board, act(board, form), 200)
    except FitfleetError as error:
        return _said(board, str(error), 409)


def _said(board: Board, text: str, status: int) -> Response:
    html = board.render("said.html", text=text, is_error=status != 200)
    return HTMLResponse(html, status, {"hx-trigger": "fitfleet:changed"} if status == 200 else None)


__all__ = ["ACTIONS", "board_of", "form_of", "run"]
