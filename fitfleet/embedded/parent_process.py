"""A worker service of an embedded fleet hears from the script that started it, and ends with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_POLL_S = 0.5


def watch_parent(parent: int, end_s: float) -> None:
    """Drain this process once `parent` is not its parent any more, and kill it `end_s` later."""
    if os.getppid() != parent:
        raise SystemExit(0)
    threading.Thread(target=_watch, args=(parent, end_s), name="parent", daemon=True).start()


def broker_url() -> str:
    """Wait for the broker's URL, a line of the standard input. SystemExit if the script gave up."""
    url = sys.stdin.readline().strip()
    if not url:
        raise SystemExit(0)
    return url


def _watch(parent: int, end_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(end_s)
    # The service leads its own process group, so its children go with it.
    os.killpg(os.getpgid(0), signal.SIGKILL)
