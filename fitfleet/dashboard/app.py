"""The web application: its routes, and how errors are shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard import access, actions
from fitfleet.dashboard.board import Board, board_of
from fitfleet.dashboard.options import Options
from fitfleet.dashboard.pages import (
    compare,
    curves,
    experiment,
    fleet,
    groups,
    job,
    points,
    sweep,
    users,
)
from fitfleet.dashboard.render import FOLDER
from fitfleet.dashboard.visitors import as_visitor, opens
from fitfleet.errors import (
    AccessError,
    DatabaseError,
    FitfleetError,
    NotFoundError,
    StateError,
    StorageError,
)

Page = Callable[[Request], Response]

# Everything that is read. Names of experiments hold any character, so they come in the query.
READ: dict[str, Page] = {
    "/": fleet.page,
    "/part/fleet": fleet.part,
    "/users": users.page,
    "/part/users": users.part,
    "/experiment": experiment.page,
    "/part/table": experiment.part,
    "/part/groups": groups.part,
    "/data/chosen": experiment.chosen,
    "/data/points": points.points,
    "/data/curves": curves.since,
    "/csv/table": experiment.table_csv,
    "/csv/groups": groups.groups_csv,
    "/csv/trials": sweep.trials_csv,
    "/compare": compare.page,
    "/job/{job_id:int}": job.page,
    "/part/job/{job_id:int}": job.part,
    "/data/log/{job_id:int}": job.log,
    "/job/{job_id:int}/spec.json": job.spec,
    "/job/{job_id:int}/weights": job.weights,
    "/sweep": sweep.page,
    "/part/sweep": sweep.part,
    "/part/importance": sweep.importance,
}


def make_app(fleet: Fleet, options: Options) -> Starlette:
    """The application over a fleet; `app.state.board` is its state."""
    board = Board(fleet, options)
    app = Starlette(
        routes=[
            *(Route(path, _told(page), methods=["GET"]) for path, page in READ.items()),
            Route("/sign-in", _sign_in, methods=["GET", "POST"]),
            Route("/sign-out", _sign_out, methods=["POST"]),
            Route("/do/{action}", _act, methods=["POST"]),
            Route("/events", _events, methods=["GET"]),
            Mount("/static", _Static(directory=FOLDER / "static")),
        ],
        middleware=access.middleware(options, board.gate),
        exception_handlers={HTTPException: _http_error},  # type: ignore[dict-item]
    )
    app.state.board = board
    return app


class _Static(StaticFiles):
    """Static files, which a browser caches until their version changes."""

    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def _told(page: Page) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            return await run_in_threadpool(as_visitor, page, request)
        except FitfleetError as error:
            return _error(request, error)

    return answer


def _error(request: Request, error: FitfleetError) -> Response:
    """One sentence; a part of a page becomes a line of it, so that the rest stays."""
    is_away = isinstance(error, DatabaseError)
    status = 503 if is_away else 404 if isinstance(error, NotFoundError | StorageError) else 400
    if isinstance(error, StateError | AccessError):
        status = 409 if isinstance(error, StateError) else 403
    return _problem(request, str(error), status, is_away=is_away)


def _http_error(request: Request, error: HTTPException) -> Response:
    text = "There is no such page." if error.status_code == 404 else error.detail
    return _problem(request, text, error.status_code)


def _problem(request: Request, text: str, status: int, *, is_away: bool = False) -> Response:
    board = board_of(request)
    if "hx-request" in request.headers:
        return board.page(request, "said.html", status, text=text, is_error=True)
    return board.page(request, "problem.html", status, text=text, is_away=is_away)


async def _sign_in(request: Request) -> Response:
    """The form, or with a token or password a session."""
    board = board_of(request)
    if request.method == "POST":
        form = await actions.form_of(request)
        token, following = form.get("token", ""), form.get("next", "")
    else:
        token = request.query_params.get("token", "")
        following = request.query_params.get("next", "")
    if not token:
        if access.is_signed_in(request):
            return RedirectResponse(board.options.root + _inside(following), 303)
        return board.page(request, "sign_in.html", following=following, problem="", **_form(board))
    client = request.client.host if request.client else ""
    wait_s = board.gate.wait_s(client)
    if wait_s > 0:
        problem = f"Too many attempts. Wait {wait_s:.0f} s and try again."
        answer = board.page(
            request, "sign_in.html", 429, following=following, problem=problem, **_form(board)
        )
        answer.headers["retry-after"] = str(int(wait_s) + 1)
        return answer
    is_right = board.gate.opens(token) or await run_in_threadpool(opens, board, request, token)
    if not is_right:
        problem = "The password or link is wrong, or the link was used already."
        return board.page(
            request, "sign_in.html", 403, following=following, problem=problem, **_form(board)
        )
    board.gate.succeeded(client)
    request.session["is_signed_in"] = True
    request.session["since"] = int(time.time())
    # No redirect: coming from another site, as from a notebook, it would carry no strict cookie.
    return board.page(request, "signed_in.html", following=_inside(following))


def _form(board: Board) -> dict[str, Any]:
    return {"has_secret": board.gate.has_secret}


def _inside(following: str) -> str:
    """A path of this server; never another one."""
    parts = urlsplit(following)
    is_ours = following.startswith("/") and not parts.netloc and not following.startswith("//")
    return following if is_ours and "\\" not in following else "/"


async def _sign_out(request: Request) -> Response:
    request.session.clear()
    return RedirectResponse(f"{board_of(request).options.root}/sign-in", 303)


async def _act(request: Request) -> Response:
    board = board_of(request)
    try:
        form = await actions.form_of(request)
    except FitfleetError as error:
        return _error(request, error)

    def act(request: Request) -> Response:
        answer = actions.run(board, request.path_params["action"], form)
        board.forget()
        return answer

    try:
        return await run_in_threadpool(as_visitor, act, request)
    except FitfleetError as error:
        return _error(request, error)


async def _events(request: Request) -> Response:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(board_of(request).live.stream(), 200, headers, "text/event-stream")
