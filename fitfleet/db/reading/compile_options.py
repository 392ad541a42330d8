"""What the jobs of an experiment were compiled with, for what their metrics mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from fitfleet.db.dialect import chunks
from fitfleet.db.schema.tables import experiments, jobs
from fitfleet.db.specs import specs

_PARTS = ("loss", "metrics", "weighted_metrics")


def compiled_parts(c: Connection, experiment: str) -> list[dict[str, Any]]:
    """`loss`, `metrics` and `weighted_metrics` of its jobs; each combination once."""
    # Repeats and folds of one configuration are compiled alike.
    one_each = (
        select(func.min(jobs.c.id))
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(experiments.c.name == experiment)
        .group_by(jobs.c.group_hash)
    )
    query = specs.join(select(specs.COMMON)).where(jobs.c.id.in_(one_each))
    distinct = {}
    for text in c.scalars(query):
        spec = json.loads(text)
        parts = {name: spec.get(name) for name in _PARTS}
        distinct[json.dumps(parts, sort_keys=True)] = parts
    return list(distinct.values())


def specifications(c: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Job -> its specification as JSON."""
    documents = {}
    for chunk in chunks(job_ids):
        query = specs.join(select(jobs.c.id, jobs.c.seed, jobs.c.fold, *specs.COLUMNS))
        query = query.where(jobs.c.id.in_(chunk))
        documents.update({row.id: json.loads(specs.spec_of(row)) for row in c.execute(query)})
    return documents


def fingerprints(c: Connection, job_ids: Sequence[int]) -> dict[int, str]:
    """Job -> the fingerprint of its data, of those whose data were seen at submit."""
    by_job = {}
    for chunk in chunks(job_ids):
        query = select(jobs.c.id, jobs.c.fingerprint).where(jobs.c.fingerprint.is_not(None))
        query = query.where(jobs.c.id.in_(chunk))
        by_job.update({row.id: row.fingerprint for row in c.execute(query)})
    return by_job
