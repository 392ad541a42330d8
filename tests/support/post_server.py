"""A web server that takes what is posted to it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class PostReceiver:
    """Answers each POST with `status`, and the headers that `receive` gives. Runs until closed."""

    def __init__(self, status: int, port: int = 0) -> None:
        self.status = status
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.receive(self.path, dict(self.headers), body)
                self.send_response(receiver.status)
                for name, value in {**answer, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> Mapping[str, str]:
        """What is done with one; headers of the answer."""
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
