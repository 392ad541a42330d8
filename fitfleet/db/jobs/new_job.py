"""A new job: as it was checked, then as its rows will be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fitfleet.db.jobs.dependencies import NEVER
from fitfleet.db.specs import specs
from fitfleet.settings import Settings
from fitfleet.spec.code.snapshot import Snapshot
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.requirements import requirements_of
from fitfleet.spec.versions import READABLE_SINCE, number_of
from fitfleet.states import JobStatus


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


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is stored of a new job. A tenth of the size of the specification it is made of."""

    experiment: str
    content_hash: str
    again: bool
    queue: str
    requirement: str  # of spec.requirements
    spec: str  # of specs.shared_spec
    options: str  # of specs.shared_options
    values: tuple[Any, ...]  # of COLUMNS
    code: Snapshot | None
    code_signature: str | None


# Columns of jobs that the job itself decides.
COLUMNS = (
    *("group_hash", "fuse_key", "fingerprint", "sweep_id", "params", "seed", "fold", "queue"),
    *("priority", "status", "starts_from", "not_before", "epochs", "max_failures", "timeout_s"),
    *("stall_timeout_s", "parameters", "min_version"),
)


class Records:
    """Makes records; equal texts of several are kept once."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def of(self, row: NewJob) -> JobRecord:
        """The record of a job."""
        return JobRecord(
            experiment=self._once(row.experiment),
            content_hash=row.content_hash,
            again=row.again,
            queue=self._once(row.queue),
            requirement=self._once(requirements_of(row.options)),
            spec=self._once(specs.shared_spec(row.spec)),
            options=self._once(specs.shared_options(row.options)),
            values=tuple(
                self._once(value) if isinstance(value, str) else value for value in _values(row)
            ),
            code=row.code,
            code_signature=row.code_signature,
        )

    def _once(self, text: str) -> str:
        return self._texts.setdefault(text, text)


def _values(row: NewJob) -> tuple[Any, ...]:
    """In the order of COLUMNS."""
    fold = row.spec.dataset.fold
    limit = row.options.max_failures
    return (
        row.group_hash,
        row.fuse_key,
        row.fingerprint,
        row.sweep_id,
        json.dumps(row.options.params, sort_keys=True),
        row.spec.seed,
        fold["index"] if fold else None,
        row.queue,
        row.options.priority,
        JobStatus.QUEUED.value,
        row.starts_from,
        0.0 if row.starts_from is None else NEVER,
        row.spec.epochs,
        row.settings.max_failures if limit is None else limit,
        row.options.timeout_s,
        row.options.stall_timeout_s,
        row.parameters,
        number_of(READABLE_SINCE),
    )
