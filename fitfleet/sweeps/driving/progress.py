"""The progress of a sweep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep."""

    trials: int  # asked for so far
    trials_wanted: int | None  # None: as many as the grid has
    complete: int
    pruned: int
    failed: int
    refused: int
    jobs_open: int
    is_done: bool
