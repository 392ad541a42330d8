"""Users who sign in with a token of theirs: what they do on the page is theirs, in its scope.

Who comes by a one-time link or the page's password acts as the process does that serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import Request

from fitfleet.dashboard.board import Board, board_of
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Scope, acting
from fitfleet.errors import AccessError

_T = TypeVar("_T")
_SESSION = "token_id"  # the session is signed and readable: never the token itself


def opens(board: Board, request: Request, token: str) -> bool:
    """Whether the token is a user's who may look; the session is then that user's."""
    try:
        with board.fleet.database.read() as c:
            actor = tokens.admit(c, token, Scope.READ)
    except AccessError:
        return False
    request.session[_SESSION] = actor.token_id
    return True


@contextmanager
def visiting(request: Request) -> Iterator[None]:
    """Do what is done inside as the user of this session.

    AccessError once the token has been revoked or has expired.
    """
    token_id = request.session.get(_SESSION)
    if token_id is None:
        yield
        return
    with board_of(request).fleet.database.read() as c:
        actor = tokens.of_number(c, token_id)
    with acting(actor):
        yield


def as_visitor(work: Callable[[Request], _T], request: Request) -> _T:
    """The same as a function, for a thread."""
    with visiting(request):
        return work(request)
