"""Serving the page: in a thread beside a script, or as a command of its own."""

from __future__ import annotations

import errno
import socket
import threading
from types import TracebackType
from typing import Any

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.options import DEFAULT_PORT, Options
from fitfleet.errors import MissingExtraError, SettingsError
from fitfleet.http_server import HttpServer, listen, url_of

_PORTS = 50


class Dashboard:
    """A page that is being served. As a context manager it ends with its block."""

    def __init__(self, fleet: Fleet, options: Options | None = None) -> None:
        """Bind the port; SettingsError if it is taken, MissingExtraError without the extra."""
        self.options = options or Options()
        self._app = _make_app(fleet, self.options)
        self._socket = _bound(self.options)
        self._server = HttpServer(
            self._app,
            self._socket,
            "dashboard",
            before_shutdown=lambda: self.board.live.close(),  # a browser keeps its stream open
        )
        self.is_stopped = threading.Event()

    @property
    def board(self) -> Any:
        """The state of its pages."""
        return self._app.state.board

    @property
    def address(self) -> str:
        """Where it is, without a token."""
        return f"{url_of('http', self.options.host, self._socket)}{self.options.root}/"

    @property
    def url(self) -> str:
        """A link that signs one browser in, once; each call makes another."""
        return self.link("/")

    def link(self, path: str) -> str:
        """Such a link to one of its pages."""
        from urllib.parse import quote

        token = self.board.gate.issue()
        return f"{self.address}sign-in?token={token}&next={quote(path, safe='')}"

    def start(self) -> Dashboard:
        """Serve in a separate thread, and return when it answers."""
        self._server.start("fitfleet-dashboard")
        return self

    def run(self) -> None:
        """Serve until stopped."""
        self._server.run()

    def stop(self) -> None:
        """End the streams and the server."""
        self.is_stopped.set()
        self._server.stop()

    def __enter__(self) -> Dashboard:
        return self if self._server.has_thread else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _make_app(fleet: Fleet, options: Options) -> Any:
    try:
        from fitfleet.dashboard.app import make_app
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "starlette", "dashboard") from None
    return make_app(fleet, options)


def _bound(options: Options) -> socket.socket:
    wanted = options.port
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _PORTS) if wanted is None else [wanted]
    for port in ports:
        try:
            return listen(options.host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and wanted is None:
                continue
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"{error.strerror}"
            raise SettingsError(
                f"port {port} of {options.host}: {reason}; choose another with --port, or leave it"
                " away to take a free one"
            ) from None
    raise SettingsError(f"ports {ports[0]} to {ports[-1]} are all in use; choose one with --port")
