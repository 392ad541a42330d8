"""The steps of one job, from its claim to its commit, as its training thread goes through them."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from fleets import Fleet

import fitfleet
from fitfleet.db.scheduling import dispatch
from fitfleet.states import JobStatus

STEPS = {
    "claiming.py": "claim",
    "cohort.py": "cohort",
    "load.py": "load",
    "engines/choice.py": "choose",
    "fit.py": "fit",
    "evaluate.py": "evaluate",
    "state/saving.py": "save",
    "recording/commits.py": "commit",
}


class Steps:
    """The outermost of these modules at each time: nothing counts that one calls in another."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []  # (step, function), without constructors
        self._inside: tuple[str, int] | None = None  # the step, and its frames on the stack
        self._files = {
            str(Path(fitfleet.__file__).parent / "worker" / name): step
            for name, step in STEPS.items()
        }

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """As sys.setprofile calls it."""
        step = self._files.get(frame.f_code.co_filename)
        if step is None or event not in ("call", "return"):
            return
        if self._inside is None and event == "call":
            self._inside = (step, 1)
            if frame.f_code.co_name not in ("__init__", "__enter__", "__exit__"):
                self.calls.append((step, frame.f_code.co_name))
        elif self._inside is not None and self._inside[0] == step:
            frames = self._inside[1] + (1 if event == "call" else -1)
            self._inside = (step, frames) if frames else None


def test_a_job_goes_through_each_step_once_and_in_order(fleet: Fleet, job: dict[str, Any]) -> None:
    job_id = fleet.submit(**job)
    with fleet.database.begin() as c:
        (message,) = dispatch.dispatch(c, "cpu", 1)
    steps = Steps()
    sys.setprofile(steps)
    try:
        fleet.child.run(*message)
    finally:
        sys.setprofile(None)
    assert fleet.row(job_id).status is JobStatus.SUCCEEDED
    assert steps.calls == [
        ("claim", "claim_message"),
        ("cohort", "peers"),
        ("load", "load"),
        ("choose", "choose"),
        ("fit", "train"),
        ("evaluate", "scores"),
        ("save", "final"),
        ("fit", "train"),  # resumed to close its session
        ("choose", "choose"),  # resumed, and nothing is left
    ]
    assert Counter(thread.name for thread in threading.enumerate())["commits"] == 0
