"""How far the reading of a script's data is, once it takes a while."""

from __future__ import annotations

import time

from rich.console import Console

_FIRST_S = 2.0
_SCREEN_S, _PIPE_S = 1.0, 30.0


class Reading:
    """Called with a line of progress, it shows one a second, in a pipe one every half minute."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._began = time.monotonic()
        has_screen = self._console.is_terminal
        self._every_s = _SCREEN_S if has_screen else _PIPE_S
        self._end = "\r" if has_screen else "\n"
        self._next_s = _FIRST_S if has_screen else _PIPE_S

    def __call__(self, line: str) -> None:
        """Show the line, if it is time."""
        after_s = time.monotonic() - self._began
        if after_s < self._next_s:
            return
        self._next_s = after_s + self._every_s
        self._console.print(line, end=self._end, highlight=False, markup=False)
