"""Authentication: the user and scope of a bearer token, and the limit of wrong tokens."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict, deque

from starlette.requests import Request

from fitfleet.db.accounts import tokens
from fitfleet.db.actor import Actor, Scope
from fitfleet.db.session import Database
from fitfleet.errors import AccessError

_TRIES = 10
_TRIES_S = 60.0
_MAX_KNOWN = 10_000


class Refused(AccessError):
    """No token that opens anything: status 401, or 429 with the seconds to wait."""

    def __init__(self, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


class Gate:
    """Admits requests. An address that has sent ten wrong tokens in a minute has to wait.

    A token that was right before is still looked at then: others may share the address.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wrong: dict[str, deque[float]] = defaultdict(deque)
        self._known: set[bytes] = set()  # hashes of tokens that were right
        self._lock = threading.Lock()

    def admit(self, request: Request, needed: Scope) -> Actor:
        """The user of the request's token. Refused, or AccessError if the scope is too small."""
        client = request.client.host if request.client else ""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refused("the request has no token; send the header Authorization: Bearer ff_...")
        digest = hashlib.sha256(token.strip().encode()).digest()
        wait_s = self._wait_s(client, digest)
        if wait_s > 0:
            raise Refused(f"too many wrong tokens; try again in {wait_s:.0f} s", wait_s)
        with self._database.read() as c:
            try:
                actor = tokens.find(c, token)
            except AccessError as error:
                self._note_wrong(client, digest)
                raise Refused(str(error)) from None
            with self._lock:
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known.add(digest)
            return tokens.check_scope(actor, needed)

    def _wait_s(self, client: str, digest: bytes) -> float:
        now = time.monotonic()
        with self._lock:
            wrong = self._wrong.get(client)
            if wrong is None or digest in self._known:
                return 0.0
            while wrong and now - wrong[0] > _TRIES_S:
                wrong.popleft()
            return _TRIES_S - (now - wrong[0]) if len(wrong) >= _TRIES else 0.0

    def _note_wrong(self, client: str, digest: bytes) -> None:
        with self._lock:
            self._known.discard(digest)
            if len(self._wrong) >= _MAX_KNOWN:
                self._wrong.clear()
            self._wrong[client].append(time.monotonic())
