"""Serving the page: in a thread beside a script, or as a command of its own."""

from __future__ import annotations

import errno
import socket
import threading
import time
from types import TracebackType
from typing import Any

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.options import DEFAULT_PORT, Options
from fitfleet.errors import FitfleetError, MissingExtraError, SettingsError

_PORTS = 50
_START_S = 15.0
_STOP_S = 5.0


class Dashboard:
    """A page that is being served. As a context manager it ends with its block."""

    def __init__(self, fleet: Fleet, options: Options | None = None) -> None:
        """Bind the port; SettingsError if it is taken, MissingExtraError without the extra."""
        self.options = options or Options()
        self._app = _make_app(fleet, self.options)
        self._socket = _bound(self.options)
        self._server = _server(self._app)
        self._thread: threading.Thread | None = None
        self.is_stopped = threading.Event()

    @property
    def board(self) -> Any:
        """The state of its pages."""
        return self._app.state.board

    @property
    def address(self) -> str:
        """Where it is, without a token."""
        host = self.options.host
        name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
        shown = f"[{name}]" if ":" in name else name
        return f"http://{shown}:{self._socket.getsockname()[1]}{self.options.root}/"

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
        """Serve in a thread of its own, and return when it answers."""
        self._thread = threading.Thread(target=self.run, name="fitfleet-dashboard", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise FitfleetError("the dashboard did not start; try: fitfleet dashboard")
            time.sleep(0.01)
        return self

    def run(self) -> None:
        """Serve until stopped."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End the streams and the server."""
        self.is_stopped.set()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)
        self._socket.close()

    def __enter__(self) -> Dashboard:
        return self if self._thread else self.start()

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


def _server(app: Any) -> Any:
    try:
        import uvicorn
    except ModuleNotFoundError:
        raise MissingExtraError("uvicorn", "dashboard") from None

    class Server(uvicorn.Server):
        """Ends its streams first: a browser would keep them open for ever."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.board.live.close()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=2,
        # Who asks is told by the socket alone: anyone can write a header.
        proxy_headers=False,
    )
    return Server(config)


def _bound(options: Options) -> socket.socket:
    wanted = options.port
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _PORTS) if wanted is None else [wanted]
    for port in ports:
        try:
            return _listening(options.host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and wanted is None:
                continue
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"{error.strerror}"
            raise SettingsError(
                f"port {port} of {options.host}: {reason}; choose another with --port, or leave it"
                " away to take a free one"
            ) from None
    raise SettingsError(f"ports {ports[0]} to {ports[-1]} are all in use; choose one with --port")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
