"""Keeping a Ctrl-C that Python would lose, and a SIGTERM that would skip what is to be closed."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


@contextmanager
def kept_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt again that fell into a destructor or a callback of C code.

    Python has nowhere to raise it there: it tells `sys.unraisablehook` and goes on as if nobody
    had pressed Ctrl-C (https://docs.python.org/3/library/sys.html#sys.unraisablehook). A fleet
    polls sockets and databases, whose destructors run at any moment.
    """
    earlier = sys.unraisablehook

    def again(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            # Not from here: an exception in this hook is dropped as well.
            threading.Timer(0.05, _interrupt).start()
        else:
            earlier(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = earlier


def _interrupt() -> None:
    """To the main thread itself, so that what it waits in ends."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def exit_on_sigterm() -> None:
    """From here on SIGTERM ends this process as `sys.exit` does, so that it leaves nothing behind.

    Python's default ends it at once.
    """
    signal.signal(signal.SIGTERM, _exit)


def _exit(*_: Any) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
