"""A reverse proxy that shows a server under a path, as a process of its own would.

It hands bytes on as they come, so a stream streams.
"""

from __future__ import annotations

import asyncio
import re
import threading
from types import TracebackType


class Proxy:
    """`http://127.0.0.1:<port><path>/...` is `http://127.0.0.1:<to>/...`."""

    def __init__(self, to: int, path: str, *, is_stripping: bool = True) -> None:
        self._to, self._path, self._is_stripping = to, path.encode(), is_stripping
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection: each is answered with Connection: close."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            back, forth = await asyncio.open_connection("127.0.0.1", self._to)
            forth.write(self._rewritten(head) + body)
            while piece := await back.read(65536):
                writer.write(piece)
                await writer.drain()
            forth.close()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the browser has gone
        finally:
            writer.close()

    def _rewritten(self, head: bytes) -> bytes:
        line, _, rest = head.partition(b"\r\n")
        if self._is_stripping:
            line = line.replace(b" " + self._path, b" ", 1)
        rest = re.sub(rb"(?im)^connection:[^\r\n]*\r\n", b"", rest)
        return line + b"\r\nConnection: close\r\n" + rest
