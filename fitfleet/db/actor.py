"""On whose behalf a transaction runs: a user, with a token or with the password of the database."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

OPTION = "fitfleet_actor"  # of the execution options of a connection


class Scope(StrEnum):
    """The scope of a token."""

    READ = "read"  # look
    SUBMIT = "submit"  # and submit, and change one's own experiments
    ADMIN = "admin"  # and change everything
    WORK = "work"  # run jobs; nothing else

    def allows(self, needed: Scope) -> bool:
        """Whether it is enough for what needs the other."""
        if Scope.WORK in (self, needed):
            return self is needed or self is Scope.ADMIN
        return _ORDER.index(self) >= _ORDER.index(needed)


_ORDER = (Scope.READ, Scope.SUBMIT, Scope.ADMIN)


@dataclass(frozen=True)
class Actor:
    """A user, as the audit log names it."""

    user: str
    scope: Scope = Scope.ADMIN  # who has the database's password may do everything
    token_id: str | None = None


_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


@contextmanager
def acting(actor: Actor | None) -> Iterator[None]:
    """Run this thread's transactions as another actor, as in a server's request."""
    before = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(before)


def current(default: Actor) -> Actor:
    """Who acts in this thread."""
    return _acting.get() or default


def local_actor(user: str = "") -> Actor:
    """The user of a process: the name given, else that of the operating system."""
    return Actor(user or _login_name())


def _login_name() -> str:
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
