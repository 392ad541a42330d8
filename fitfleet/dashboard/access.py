"""Who may read and who may change: tokens, sessions, hosts, origins, and limits of sign-ins."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fitfleet.dashboard.options import Options

# Everything comes from here, and nothing is executed but our own files.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_SESSION_S = 30 * 24 * 3600
_TRIES = 10
_TRIES_S = 60.0
_PUBLIC = ("/sign-in", "/static/")


class Gate:
    """The tokens of one server. Each one-time token opens one session, then it is worth nothing."""

    def __init__(self, secret: str | None = None) -> None:
        self.key = secrets.token_hex(32)
        self.name = secrets.token_hex(4)
        self._secret = secret
        self._tokens: set[str] = set()
        self._tries: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()
        self.on_used: Callable[[], None] = lambda: None

    @property
    def has_secret(self) -> bool:
        """Whether a password opens it too."""
        return self._secret is not None

    def issue(self) -> str:
        """A new one-time token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens.add(token)
        return token

    def opens(self, given: str) -> bool:
        """Whether a token or the password is right; a token is used up by it."""
        expected = given.encode()
        with self._lock:
            for token in self._tokens:
                if hmac.compare_digest(expected, token.encode()):
                    self._tokens.discard(token)
                    break
            else:
                return self._secret is not None and hmac.compare_digest(
                    expected, self._secret.encode()
                )
        self.on_used()
        return True

    def wait_s(self, client: str) -> float:
        """Seconds until this client may try again; 0: it may now. Counts as a try."""
        now = time.monotonic()
        with self._lock:
            tries = self._tries[client]
            while tries and now - tries[0] > _TRIES_S:
                tries.popleft()
            if len(tries) >= _TRIES:
                return _TRIES_S - (now - tries[0])
            tries.append(now)
            if len(self._tries) > 10_000:
                self._tries.clear()
            return 0.0

    def succeeded(self, client: str) -> None:
        """Its last try does not count: behind a proxy many users have one address."""
        with self._lock:
            if self._tries[client]:
                self._tries[client].pop()


def is_signed_in(connection: HTTPConnection) -> bool:
    """Whether the browser has a session of this server."""
    return bool(connection.session.get("is_signed_in"))


def middleware(options: Options, gate: Gate) -> list[Middleware]:
    """From the outside in."""
    return [
        Middleware(_Headers),
        Middleware(_Prefix, root=options.root),
        Middleware(_Hosts, hosts=options.allowed_hosts),
        Middleware(_Origins, hosts=list(options.hosts)),
        Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
        Middleware(
            SessionMiddleware,
            secret_key=gate.key,
            # Cookies do not tell ports apart.
            session_cookie=f"fitfleet-{gate.name}",
            max_age=_SESSION_S,
            path=f"{options.root}/",
            same_site="strict",
        ),
        Middleware(_SignedIn, root=options.root),
    ]


class _Headers:
    """Gives every answer the headers that keep a browser from doing more than it should."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with)


class _Prefix:
    """Behind a proxy the path may come with its prefix or without."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._root and scope["type"] == "http":
            path = scope["path"]
            if path != self._root and not path.startswith(f"{self._root}/"):
                path = self._root + path
            scope = {**scope, "root_path": self._root, "path": path}
        await self._app(scope, receive, send)


class _Hosts:
    """Answers to names that are allowed only: a foreign name that points here is an attack."""

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).get("host", "")
            if host_name(given) not in self._hosts and given.lower() not in self._hosts:
                text = "This name is not allowed; start with: fitfleet dashboard --allow-host NAME"
                await PlainTextResponse(text, 400)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Origins:
    """Takes a POST from pages of this very server only."""

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self._app, self._hosts = app, {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            headers = Headers(scope=scope)
            origin = urlsplit(headers.get("origin", "")).netloc.lower()
            hosts = {headers.get("host", "").lower(), *self._hosts}
            if not origin or (origin not in hosts and host_name(origin) not in self._hosts):
                text = "This request does not come from a page of this dashboard."
                await PlainTextResponse(text, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _SignedIn:
    """Shows nothing to a browser without a session but where to sign in."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app, self._root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_signed_in(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._root)
        if path.startswith(_PUBLIC):
            await self._app(scope, receive, send)
            return
        await self._refuse(scope, path)(scope, receive, send)

    def _refuse(self, scope: Scope, path: str) -> ASGIApp:
        from urllib.parse import quote

        here = f"{self._root}/sign-in"
        query = scope["query_string"].decode("latin-1")
        is_page = scope["method"] == "GET" and "hx-request" not in Headers(scope=scope)
        if is_page and not path.startswith(("/events", "/data/")):
            following = quote(path + (f"?{query}" if query else ""))
            return PlainTextResponse("", 303, {"location": f"{here}?next={following}"})
        return PlainTextResponse("Sign in again.", 401, {"hx-redirect": here})


def host_name(netloc: str) -> str:
    """The name in a Host header, without its port: `[::1]` keeps its brackets."""
    text = netloc.lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]
