"""A worker service of an embedded fleet ends when the script that started it is gone."""

from __future__ import annotations

import os
import signal
import threading
import time

_LOOK_S = 0.5


def watch_parent(parent: int, end_s: float) -> None:
    """Drain this process once `parent` is not its parent any more, and kill it `end_s` later."""
    if os.getppid() != parent:
        raise SystemExit(0)
    threading.Thread(target=_watch, args=(parent, end_s), name="parent", daemon=True).start()


def _watch(parent: int, end_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(end_s)
    # The service leads its own process group, so its children go with it.
    os.killpg(os.getpgid(0), signal.SIGKILL)
