"""An application served by Uvicorn, by this thread or by one of its own, until it is stopped."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from fitfleet.errors import FitfleetError, MissingExtraError

_START_S = 15.0
_STOP_S = 5.0


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address, port 0 for any free one. OSError if it is taken."""
    name = host.strip("[]")
    listener = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((name, port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(scheme: str, host: str, listener: socket.socket) -> str:
    """How others write the address; an address of all interfaces is shown as this host's name."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host.strip("[]")
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}:{listener.getsockname()[1]}"


class HttpServer:
    """Serves one application on one socket."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        extra: str,
        before_shutdown: Callable[[], object] = lambda: None,
        **config: Any,
    ) -> None:
        """`config` goes to uvicorn.Config. MissingExtraError without Uvicorn, of that extra."""
        try:
            import uvicorn
        except ModuleNotFoundError:
            raise MissingExtraError("uvicorn", extra) from None

        class Server(uvicorn.Server):
            """Calls `before_shutdown` first: it may end answers that would never end."""

            async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
                before_shutdown()
                await super().shutdown(sockets)

        self._server = Server(
            uvicorn.Config(
                app,
                log_level="error",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=2,
                # Who asks is told by the socket alone: anyone can write a header.
                proxy_headers=False,
                **config,
            )
        )
        self._listener = listener
        self._thread: threading.Thread | None = None

    @property
    def is_serving(self) -> bool:
        """Whether it answers requests."""
        return bool(self._server.started) and not self._server.should_exit

    @property
    def has_thread(self) -> bool:
        """Whether `start` was called."""
        return self._thread is not None

    def run(self) -> None:
        """Serve until stopped."""
        self._server.run(sockets=[self._listener])

    def start(self, name: str) -> None:
        """Serve in a thread of that name, and return when it answers. FitfleetError if not."""
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise FitfleetError(f"{name} did not start within {_START_S:g} s")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, and its thread."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)
        self._listener.close()
