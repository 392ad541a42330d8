"""Named points where a test can make a worker die, stop or raise. Nothing happens otherwise."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# "between_save_and_commit:kill"; "epoch_end@3:kill" for the third time that the point is reached;
# "epoch_end:stop:/folder/marker" fires once, for all processes that share the folder.
_FAULT = os.environ.get("FITFLEET_FAULT", "")
_POINT, _, _REST = _FAULT.partition(":")
_NAME, _, _TIMES = _POINT.partition("@")
_reached = 0


def reach(name: str) -> None:
    """Carry out the fault that FITFLEET_FAULT sets for this point: kill, stop or raise.

    `raise` is an OSError as of a full disk.
    """
    global _reached
    if not _FAULT or name != _NAME:
        return
    _reached += 1
    if _TIMES and _reached != int(_TIMES):
        return
    action, _, marker = _REST.partition(":")
    if marker:
        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return
    if action == "raise":
        raise OSError(28, "No space left on device")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
