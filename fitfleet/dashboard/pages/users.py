"""Users and groups: their shares of the slots, what they use, and their quotas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitfleet.dashboard.board import Board, board_of
from fitfleet.db.pages import users as tables
from fitfleet.db.pages.users import Holder

# GPU-hours grow while nothing else changes.
_KEPT_S = 5.0


def page(request: Request) -> Response:
    """The whole page."""
    board = board_of(request)
    return board.page(request, "users.html", **_context(board))


def part(request: Request) -> Response:
    """What changes of it."""
    board = board_of(request)
    return board.page(request, "users_body.html", **_context(board))


def _context(board: Board) -> dict[str, Any]:
    def read() -> dict[str, Any]:
        with board.fleet.database.read() as c:
            groups, users = tables.group_holders(c), tables.user_holders(c)
        return {"groups": _with_portions(groups), "users": users}

    return board.cached("users", read, most_s=_KEPT_S)


def _with_portions(groups: Sequence[Holder]) -> list[tuple[Holder, float | None, float | None]]:
    """Each with its part of the slots by its shares, among those with jobs, and the part it has."""
    active = sum(group.shares for group in groups if _is_active(group))
    slots = sum(group.slots for group in groups)
    return [
        (
            group,
            group.shares / active if _is_active(group) else None,
            group.slots / slots if slots else None,
        )
        for group in groups
    ]


def _is_active(holder: Holder) -> bool:
    return bool(holder.in_flight or holder.waiting)
