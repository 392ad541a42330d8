"""The fleet: what runs, what waits and why, the workers, and how much gets done."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitfleet.client.display.progress_snapshot import RunningJob, take
from fitfleet.dashboard.board import Board, board_of
from fitfleet.db.pages import fleet as tables
from fitfleet.db.pages.fleet import Throughput, Waiting
from fitfleet.db.reading import lookup
from fitfleet.errors import NotFoundError
from fitfleet.scheduler.explain import Explanation, explain
from fitfleet.states import JobStatus

# More than a screen holds help nobody; the tables of the experiments have them all.
_RUNNING = 40
_WAITING = 60
# Heartbeats and loads of workers are no change; a page asks every 10 s.
_LOAD_S = 5.0
_ORDER = ("RUNNING", "DISPATCHED", "QUEUED", "SUCCEEDED", "FAILED", "PRUNED", "CANCELLED")


def page(request: Request) -> Response:
    """The whole page."""
    board = board_of(request)
    return board.page(request, "fleet.html", **_kept(board))


def part(request: Request) -> Response:
    """What changes of it."""
    board = board_of(request)
    return board.page(request, "fleet_body.html", **_kept(board))


def _kept(board: Board) -> dict[str, Any]:
    return board.cached("fleet", lambda: _context(board), most_s=_LOAD_S)


def _context(board: Board) -> dict[str, Any]:
    with board.fleet.database.read() as c:
        counts = tables.counts(c)
        settings = tables.settings_of(c)
        waiting = tables.waiting(c)
        throughput = tables.throughput(c)
        slots = tables.slots(c)
        sweeps = tables.sweep_names(c)
        rows = lookup.find_jobs(c, None, [JobStatus.RUNNING], _RUNNING)
    total: Counter[str] = Counter()
    for by_status in counts.values():
        total.update(by_status)
    left = sum(total[s] for s in ("QUEUED", "DISPATCHED", "RUNNING"))
    ids = [row.id for row in rows]
    running = take(board.fleet.database, ids, board.fleet.settings.lease_s).running
    return {
        "total": [(status, total[status]) for status in _ORDER if total[status]],
        "jobs": sum(total.values()),
        "running": running,
        "running_count": total["RUNNING"],
        "waiting": [(queue, _why(board, queue)) for queue in waiting[:_WAITING]],
        "waiting_more": max(0, len(waiting) - _WAITING),
        "per_minute": throughput.per_second * 60,
        "empty_in_s": seconds_to_empty(throughput, left, running),
        "hosts": _hosts(slots, board.fleet.settings.heartbeat_s),
        "experiments": [_experiment(name, counts[name], settings[name]) for name in counts][::-1],
        "sweeps": sweeps,
    }


def seconds_to_empty(
    throughput: Throughput, left: int, running: Sequence[RunningJob]
) -> float | None:
    """By the jobs of the last minutes, though not before the last of those that run now."""
    rate = throughput.per_second
    if not left or rate <= 0:
        return None
    return max(left / rate, *(job.seconds_left or 0.0 for job in running), 0.0)


def _why(board: Board, waiting: Waiting) -> Explanation | None:
    """Of the first job of these; None where it has just gone."""
    fleet = board.fleet
    try:
        return explain(fleet.database, fleet.settings, waiting.first, ping=board.ping)
    except NotFoundError:
        return None


def _experiment(name: str, counts: dict[str, int], settings: dict[str, Any]) -> dict[str, Any]:
    total = sum(counts.values())
    ended = sum(counts.get(s.value, 0) for s in JobStatus if s.is_terminal)
    shown = [(status, counts[status]) for status in _ORDER if counts.get(status)]
    return {"name": name, "total": total, "ended": ended, "counts": shown, **settings}


def _hosts(
    slots: list[dict[str, Any]], heartbeat_s: float
) -> list[tuple[str, list[dict[str, Any]]]]:
    silent_s = max(5 * heartbeat_s, 10.0)
    ours = version("fitfleet")
    shown = []
    for slot in slots:
        its = json.loads(slot["versions"] or "{}").get("fitfleet")
        shown.append(
            {
                **slot,
                "load": json.loads(slot["load"] or "{}"),
                "version": its,
                "is_foreign": its not in (None, ours),
                "is_silent": slot["silent_s"] > silent_s,
            }
        )
    return [(host, list(group)) for host, group in groupby(shown, key=lambda s: str(s["host"]))]
