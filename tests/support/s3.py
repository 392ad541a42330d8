"""A real S3 server in a process of its own, and a proxy before it that fails as networks do."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import s3fs
from support.servers import die_with_parent, free_port, wait_until

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cret-of-the-bucket"}
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_BUSY = b"<Error><Code>ServiceUnavailable</Code><Message>Try again later</Message></Error>"


class S3:
    """Moto's server; `endpoint` is where it listens, `system` a file system that uses it."""

    def __init__(self) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **CREDENTIALS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        self.system = s3fs.S3FileSystem(
            key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.endpoint,
            use_listings_cache=False,
        )

    def start(self, *buckets: str) -> None:
        """Wait until it answers, and make the buckets."""
        wait_until(self._is_up, "the S3 server", timeout_s=120.0)
        for bucket in buckets:
            self.system.mkdir(bucket)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _is_up(self) -> bool:
        try:
            self.system.ls("", refresh=True)
        except OSError:
            return False
        return True


class Proxy:
    """Hands requests on to the server, except for those that a fault is set for.

    `faults` maps a method to one of `busy` (503), `denied` (403), `dropped` (the connection ends
    without an answer), `cut` (the answer ends in the middle), `lost` (done, and the answer lost) or
    a number of seconds to wait. `left` is how many requests it still meets; `requests` counts all
    by method.
    """

    def __init__(self, server: S3) -> None:
        self.faults: dict[str, str | float] = {}
        self.left = 1_000_000
        self.requests: dict[str, int] = {}
        self._lock = threading.Lock()
        self._address = urlsplit(server.endpoint).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def set(self, left: int = 1_000_000, **faults: str | float) -> None:
        """The faults from now on."""
        with self._lock:
            self.left, self.faults = left, faults

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self, method: str) -> str | float | None:
        """The fault of this request, if it is to meet one."""
        with self._lock:  # connections have a thread each
            self.requests[method] = self.requests.get(method, 0) + 1
            fault = self.faults.get(method)
            if fault is None or self.left <= 0:
                return None
            self.left -= 1
            return fault

    def forward(self, method: str, path: str, headers: Any, body: bytes) -> tuple[Any, bytes]:
        """The server's answer and its body."""
        connection = http.client.HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def answer(self) -> None:
                body = _body(self)
                fault = proxy.fault(self.command)
                if fault == "dropped":
                    self.close_connection = True
                    return
                if fault in ("busy", "denied"):
                    is_busy = fault == "busy"
                    self.reply(503 if is_busy else 403, {}, _BUSY if is_busy else _DENIED)
                    return
                if isinstance(fault, float | int):
                    time.sleep(fault)
                kept = {n: v for n, v in self.headers.items() if n.lower() not in _HOP}
                answer, content = proxy.forward(self.command, self.path, kept, body)
                if fault == "lost":
                    self.close_connection = True
                    return
                headers = {n: v for n, v in answer.getheaders() if n.lower() not in _HOP}
                if self.command == "HEAD":
                    headers["Content-Length"] = answer.getheader("Content-Length", "0")
                self.reply(answer.status, headers, content, is_cut=fault == "cut")

            def reply(
                self, status: int, headers: dict[str, str], content: bytes, is_cut: bool = False
            ) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content[: len(content) // 2] if is_cut else content)
                self.close_connection = self.close_connection or is_cut

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer

        return Handler


_HOP = {"content-length", "transfer-encoding", "connection", "expect", "date", "server"}


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    parts = []
    while size := int(handler.rfile.readline().split(b";")[0], 16):
        parts.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(parts)
