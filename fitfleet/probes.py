"""A few pages of a service over HTTP, for Prometheus, Kubernetes and load balancers.

Plain text without secrets and without anything to change; it still belongs on an address that only
the monitoring reaches.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fitfleet.errors import SettingsError

TEXT = "text/plain; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
# (status, type of the content, text)
Page = Callable[[], tuple[int, str, str]]
Sample = tuple[Mapping[str, str], float]  # labels, value


def serve(address: str, pages: Mapping[str, Page]) -> int:
    """Serve the pages, by path, from a thread until the process ends; the port.

    `address` is `host:port`, port 0 any free one. SettingsError if that fails.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise SettingsError(f"metrics: {address!r} is not an address such as 127.0.0.1:9600")
    handler = type("Handler", (_Handler,), {"pages": dict(pages)})
    try:
        server = _Server((host.strip("[]") or "0.0.0.0", int(port)), handler)
    except OSError as error:
        raise SettingsError(
            f"metrics: cannot listen on {address}: {error.strerror or error}; choose another port"
        ) from None
    # Children that are forked later must not hold the port.
    os.register_at_fork(after_in_child=server.socket.close)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return int(server.server_address[1])


def health(is_well: Callable[[], bool], what: str) -> Page:
    """A page that answers 200 while it is so, else 503."""

    def page() -> tuple[int, str, str]:
        return (200, TEXT, "ok\n") if is_well() else (503, TEXT, f"{what}\n")

    return page


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    """A metric with its samples; nothing without any."""
    lines = [f"{name}{_labels(labels)} {number(value)}\n" for labels, value in samples]
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(lines)}" if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def number(value: float) -> str:
    """As Prometheus reads it."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Without the look for the host's full name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()


class _Handler(BaseHTTPRequestHandler):
    pages: Mapping[str, Page] = {}
    timeout = 10  # of a client that sends nothing
    server_version, sys_version = "fitfleet", ""

    def do_GET(self) -> None:
        """Answer with the page of that path."""
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(404, TEXT, f"there are {', '.join(sorted(self.pages))}\n")
            return
        try:
            self._send(*page())
        except Exception as error:  # the service keeps running, and its monitoring hears of it
            self._send(500, TEXT, f"{type(error).__name__}\n")

    def _send(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A line a scrape would be all that a log holds."""
