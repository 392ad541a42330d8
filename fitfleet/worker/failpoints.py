"""Named points where a test makes a worker die, stop, hang or raise. Otherwise nothing happens."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

# "between_save_and_commit:kill"; "epoch_end@3:kill" for the third time that the point is reached;
# "epoch_end:stop:/folder/marker" fires once, for all processes that share the folder, and again
# when the marker has been removed. Several are separated by semicolons.
_FAULTS = [fault for fault in os.environ.get("FITFLEET_FAULT", "").split(";") if fault]
_SLOW_S = 5.0
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Carry out the faults that FITFLEET_FAULT sets for this point.

    kill, stop: the process. hang: the calling thread, for ever. slow: it takes 5 s. raise: an
    OSError as of a full disk. memory: a MemoryError. defect: a RuntimeError of our own.
    """
    for fault in _FAULTS:
        point, _, rest = fault.partition(":")
        point, _, times = point.partition("@")
        if point != name:
            continue
        _reached[fault] += 1
        if not times or _reached[fault] == int(times):
            action, _, marker = rest.partition(":")
            if not marker or _is_first(Path(marker)):
                _act(action)


def _is_first(marker: Path) -> bool:
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _act(action: str) -> None:
    if action == "raise":
        raise OSError(28, "No space left on device")
    if action == "defect":
        raise RuntimeError("a defect of fitfleet")
    if action == "memory":
        raise MemoryError
    if action == "slow":
        time.sleep(_SLOW_S)
        return
    while action == "hang":
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
