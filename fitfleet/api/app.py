"""The web application: which route does what, for which scope, and how errors are returned."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fitfleet.api import (
    change_routes,
    files,
    host_settings,
    read_routes,
    recording_routes,
    sweep_routes,
)
from fitfleet.api.access import Gate
from fitfleet.api.requests import answer, document_of, query_of, refusal
from fitfleet.client.fleet import Fleet
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.errors import FitfleetError, NotFoundError

_log = logging.getLogger("fitfleet.service")
_THREADS = 16
_SUBMITTING = 2  # submissions that are checked at once, each of which may take much memory
_STEPPING = 4  # steps of sweeps, which check some jobs each

# Work on the fleet, out of a request that was admitted.
Step = Callable[["Api", Request, Actor], Awaitable[Any]]


class Api:
    """The state of the application: a fleet that is reached by its database, and who is let in."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.gate = Gate(fleet.database)
        self.threads = CapacityLimiter(_THREADS)
        self.submitting = CapacityLimiter(_SUBMITTING)
        self.stepping = CapacityLimiter(_STEPPING)
        self.sweeps = sweep_routes.Sweeps(fleet)

    async def run(
        self, actor: Actor, work: Callable[[], Any], limiter: CapacityLimiter | None = None
    ) -> Any:
        """Do it in a thread, as this user."""

        def act() -> Any:
            with acting(actor):
                return work()

        return await to_thread.run_sync(act, limiter=limiter or self.threads)


def make_app(fleet: Fleet) -> Starlette:
    """The application over a fleet."""
    api = Api(fleet)
    return Starlette(
        routes=[
            Route(path, _endpoint(api, scope, step), methods=[method])
            for method, path, scope, step in ROUTES
        ],
        exception_handlers={HTTPException: _http_error},
    )


def _endpoint(api: Api, scope: Scope, step: Step) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            actor = await to_thread.run_sync(
                lambda: api.gate.admit(request, scope), limiter=api.threads
            )
            result = await step(api, request, actor)
            if isinstance(result, Response):
                return result
            return await to_thread.run_sync(lambda: answer(result), limiter=api.threads)
        except FitfleetError as error:
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=400)
        except RecursionError:
            return refusal(FitfleetError("the request is nested too deep"))
        except Exception:
            _log.exception("the API continues after an internal error")
            problem = {
                "kind": "FitfleetError",
                "message": "internal error of fitfleet; see the log of the API",
            }
            return answer({"error": problem}, 500)

    return endpoint


def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = "no such route" if status == 404 else "the route does not accept this method"
    return answer({"error": {"kind": "FitfleetError", "message": text}}, status)


def _get(work: Callable[[Fleet, Any], Any]) -> Step:
    async def step(api: Api, request: Request, actor: Actor) -> Any:
        query = query_of(request)
        return await api.run(actor, lambda: work(api.fleet, query))

    return step


def _post(work: Callable[[Fleet, Any], Any]) -> Step:
    async def step(api: Api, request: Request, actor: Actor) -> Any:
        document = await document_of(request)
        limiter = api.submitting if work is change_routes.submit else None
        return await api.run(actor, lambda: work(api.fleet, document), limiter)

    return step


def _sweep(work: sweep_routes.Work, limiter: str = "threads") -> Step:
    async def step(api: Api, request: Request, actor: Actor) -> Any:
        document = await document_of(request)
        return await api.run(actor, lambda: work(api.sweeps, document), getattr(api, limiter))

    return step


def _job_id(request: Request) -> int:
    job_id = int(request.path_params["job_id"])
    if job_id >= 2**63:
        raise NotFoundError("no job has that number")
    return job_id


async def _job(api: Api, request: Request, actor: Actor) -> Any:
    job_id = _job_id(request)
    return await api.run(actor, lambda: api.fleet.job(job_id).row)


def _job_part(name: str) -> Step:
    async def step(api: Api, request: Request, actor: Actor) -> Any:
        job_id = _job_id(request)
        return await api.run(actor, lambda: read_routes.job_part(api.fleet, job_id, name))

    return step


def _job_post(name: str, work: Callable[..., Any] | None = None) -> Step:
    async def step(api: Api, request: Request, actor: Actor) -> Any:
        job_id, document = _job_id(request), await document_of(request)
        if work is not None:
            return await api.run(actor, lambda: work(api.fleet, job_id, document))
        return await api.run(
            actor, lambda: change_routes.job_action(api.fleet, job_id, name, document)
        )

    return step


async def _weights(api: Api, request: Request, actor: Actor) -> Any:
    job_id = _job_id(request)
    return await api.run(actor, lambda: files.weights(api.fleet, job_id))


async def _checkpoint(api: Api, request: Request, actor: Actor) -> Any:
    job_id = _job_id(request)
    return await api.run(actor, lambda: files.checkpoint(api.fleet, job_id))


async def _dataset(api: Api, request: Request, actor: Actor) -> Any:
    job_id = _job_id(request)
    return await api.run(actor, lambda: files.dataset(api.fleet, job_id))


async def _dataset_file(api: Api, request: Request, actor: Actor) -> Any:
    job_id, name = _job_id(request), query_of(request).text("path")
    return await api.run(actor, lambda: files.dataset_file(api.fleet, job_id, name))


async def _found(api: Api, request: Request, actor: Actor) -> Any:
    kind, name = request.path_params["kind"], request.path_params["name"]
    return await api.run(actor, lambda: files.found(api.fleet, kind, name))


async def _upload(api: Api, request: Request, _: Actor) -> Any:
    kind, name = request.path_params["kind"], request.path_params["name"]
    return await files.upload(request, api.fleet, kind, name)


async def _join(api: Api, request: Request, actor: Actor) -> Any:
    host = request.client.host if request.client else ""
    queue = (await document_of(request)).text("queue") or ""
    return await api.run(actor, lambda: host_settings.settings_for(api.fleet, host, actor, queue))


_JOB = "/v1/jobs/{job_id:int}"
_FILE = "/v1/files/{kind}/{name}"  # kind: datasets or weights
# (method, path, scope that it needs, what it does)
ROUTES: list[tuple[str, str, Scope, Step]] = [
    *(("GET", f"/v1/{name}", Scope.READ, _get(work)) for name, work in read_routes.GET.items()),
    *(("POST", f"/v1/{name}", Scope.READ, _post(work)) for name, work in read_routes.POST.items()),
    *(
        ("POST", f"/v1/{name}", Scope.READ, _post(work))
        for name, work in recording_routes.POST.items()
    ),
    *(("GET", f"/v1/{name}", Scope.READ, _sweep(work)) for name, work in sweep_routes.GET.items()),
    *(
        ("POST", f"/v1/{name}", Scope.READ, _sweep(work))
        for name, work in sweep_routes.READ.items()
    ),
    *(
        ("POST", f"/v1/{name}", Scope.SUBMIT, _sweep(work, limiter))
        for name, work, limiter in sweep_routes.CHANGE
    ),
    *(
        ("POST", f"/v1/{name}", Scope.SUBMIT, _post(work))
        for name, work in change_routes.POST.items()
    ),
    ("GET", _JOB, Scope.READ, _job),
    *(("GET", f"{_JOB}/{name}", Scope.READ, _job_part(name)) for name in read_routes.JOB_PARTS),
    ("POST", f"{_JOB}/log", Scope.READ, _job_post("log", read_routes.log_news)),
    ("GET", f"{_JOB}/weights", Scope.READ, _weights),
    ("GET", f"{_JOB}/checkpoint", Scope.READ, _checkpoint),
    ("GET", f"{_JOB}/dataset", Scope.READ, _dataset),
    ("GET", f"{_JOB}/dataset/file", Scope.READ, _dataset_file),
    *(
        ("POST", f"{_JOB}/{name}", Scope.SUBMIT, _job_post(name))
        for name in change_routes.JOB_ACTIONS
    ),
    ("GET", _FILE, Scope.READ, _found),
    ("PUT", _FILE, Scope.SUBMIT, _upload),
    ("POST", "/v1/join", Scope.WORK, _join),
]
