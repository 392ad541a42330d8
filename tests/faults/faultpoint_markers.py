"""Faults at named points of the workers, to be armed one by one."""

from __future__ import annotations

from pathlib import Path

POINTS = (
    "in_load:hang",
    "in_checkpoint:kill",
    "in_checkpoint:raise",
    "in_publish:slow",
    "after_checkpoint:kill",
    "epoch_end:hang",
    "epoch_end:kill",
    "between_save_and_commit:kill",
    "after_commit:kill",
)


class Faults:
    """A fault fires once, in the first process that reaches its point after it was armed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        for point in POINTS:
            self._marker(point).touch()

    @property
    def setting(self) -> str:
        """For the variable FITFLEET_FAULT of the workers."""
        return ";".join(f"{point}:{self._marker(point)}" for point in POINTS)

    def arm(self, point: str) -> None:
        """Let it happen."""
        self._marker(point).unlink()

    def has_fired(self, point: str) -> bool:
        """Whether it has happened since."""
        return self._marker(point).exists()

    def _marker(self, point: str) -> Path:
        assert point in POINTS
        return self._folder / point.replace(":", "-")
