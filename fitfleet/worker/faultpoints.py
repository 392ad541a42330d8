"""Named points where a test can make a worker die, stop or raise. Nothing happens otherwise."""

from __future__ import annotations

import os
import signal
from pathlib import Path

# FITFLEET_FAULT="between_save_and_commit:kill" or "...:kill:/folder/marker", which fires once.
_FAULT = os.environ.get("FITFLEET_FAULT", "")


def reach(name: str) -> None:
    """Carry out the fault that FITFLEET_FAULT sets for this point: kill, stop or raise."""
    if not _FAULT.startswith(f"{name}:"):
        return
    action, _, marker = _FAULT.removeprefix(f"{name}:").partition(":")
    if marker:
        try:
            Path(marker).touch(exist_ok=False)
        except FileExistsError:
            return
    if action == "raise":
        raise OSError(28, "No space left on device")
    os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
