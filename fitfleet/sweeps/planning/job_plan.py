"""The plan of a job file before anything is queued: what would run, what is there, what is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.session import Database
from fitfleet.db.sweeps import trials as table
from fitfleet.errors import DatasetError, SpecError
from fitfleet.settings import Settings
from fitfleet.submit import Submission
from fitfleet.sweeps.planning import build_check
from fitfleet.sweeps.planning.gpu_gain import gpu_warnings
from fitfleet.sweeps.planning.plan import builds_of, costs, measured_costs_of, predicted_needs
from fitfleet.sweeps.planning.plan_rows import Plan
from fitfleet.sweeps.spaces.space import Point


def plan_jobs(
    database: Database, settings: Settings, documents: Sequence[Mapping[str, Any]]
) -> Plan:
    """Check every job as submitting would, build its model, look it up. Nothing is written.

    `documents` come from a file: only builders of trusted modules are called.
    """
    submission = Submission(settings)
    rows: list[list[NewJob]] = []
    refused: list[str | None] = []
    for document in documents:
        try:
            rows.append([submission.row(document)])
            refused.append(None)
        except (SpecError, DatasetError) as error:
            rows.append([])
            refused.append(str(error))
    builds = builds_of([of_job[0].spec for of_job in rows if of_job], settings)
    there = _there(database, rows)
    with database.read() as c:
        known, needs = measured_costs_of(c, rows), predicted_needs(c, rows)
    points = [_point(i, document, documents) for i, document in enumerate(documents)]
    planned = [
        next(costs([point], [of_job], builds, hashes, known, needs))
        for point, of_job, hashes in zip(points, rows, there, strict=True)
    ]
    shown = [
        p if why is None else replace(p, refused=why)
        for p, why in zip(planned, refused, strict=True)
    ]
    warnings = [
        *submission.warnings,
        *gpu_warnings((r for job_rows in rows for r in job_rows), settings),
    ]
    return Plan(shown, False, build_check.is_available(), warnings, noun="job")


def _there(database: Database, rows: Sequence[Sequence[NewJob]]) -> list[set[str]]:
    """Of each job its content hash, if it is in its experiment or earlier in the file."""
    by_experiment: dict[str, list[str]] = defaultdict(list)
    for row in (row for of_job in rows for row in of_job):
        by_experiment[row.experiment].append(row.content_hash)
    with database.read() as c:
        known = {name: table.existing(c, name, of_job) for name, of_job in by_experiment.items()}
    answers: list[set[str]] = []
    for of_job in rows:
        answers.append({row.content_hash for row in of_job} & known.get(_of(of_job), set()))
        for row in of_job:
            known[row.experiment].add(row.content_hash)
    return answers


def _of(rows: Sequence[NewJob]) -> str:
    return rows[0].experiment if rows else ""


def _point(
    index: int, document: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]
) -> Point:
    """What identifies the job: its index in the file, its params, its seed where those differ."""
    params = document.get("params")
    point: Point = {"job": index, **(dict(params) if isinstance(params, Mapping) else {})}
    for name in ("experiment", "seed"):
        if len({repr(other.get(name)) for other in documents}) > 1:
            point.setdefault(name, document.get(name))
    return point
