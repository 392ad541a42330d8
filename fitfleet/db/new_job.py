"""A job on its way into the database."""

from __future__ import annotations

from dataclasses import dataclass

from fitfleet.settings import Settings
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobOptions, JobSpec


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A checked job that is to be inserted."""

    experiment: str
    content_hash: str
    group_hash: str
    fuse_key: str | None
    fingerprint: str | None
    spec: JobSpec
    options: JobOptions
    queue: str
    again: bool
    parameters: int | None
    settings: Settings
    sweep_id: int | None = None
    starts_from: int | None = None  # the job that it waits for
    code: Snapshot | None = None
    code_signature: str | None = None
