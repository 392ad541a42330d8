"""A job as other tools want it: parameters, curves, final values, where its weights lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fitfleet.states import JobStatus


@dataclass(frozen=True)
class ExportedRun:
    """One job, complete."""

    job_id: int
    experiment: str
    name: str  # unique in the export, safe as a folder's name
    params: Mapping[str, Any]
    curves: Mapping[str, Mapping[int, float]]  # Keras's name -> {epoch: value}
    scores: Mapping[str, float]
    status: str
    started_at: float  # seconds since 1970
    finished_at: float
    artifact: str | None  # absolute path of the weights
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        return JobStatus(self.status).is_terminal
