"""Trials of sweeps and the jobs of these. Any number of drivers may work on one sweep.

A trial's number and its point are UNIQUE in the sweep, so two drivers never take the same; a
trial and its jobs are written in one transaction, so a driver that dies leaves neither half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from fitfleet.db.dialect import chunks, insert_ignoring
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.schema.tables import (
    attempts,
    experiments,
    jobs,
    metrics,
    scores,
    shown_epoch,
    trial_jobs,
    trials,
)
from fitfleet.db.session import now
from fitfleet.db.sweeps.lineage import Descent, columns_of, descent_of
from fitfleet.db.sweeps.result_reuse import adopt
from fitfleet.states import JobStatus, Request


@dataclass(frozen=True)
class TrialRow:
    """A point that was suggested."""

    number: int
    point: dict[str, Any]
    pending: frozenset[int]  # trials that had no value when this was suggested
    refused: str | None
    pruned: str | None
    descent: Descent | None = None  # of population-based training


@dataclass(frozen=True)
class ReplicateRow:
    """A job of a trial."""

    number: int
    replicate: int
    job_id: int
    is_reused: bool
    status: JobStatus
    seed: int
    fold: int | None
    epoch: int
    epochs: int
    seconds: float
    parameters: int | None
    shown_epoch: int = 0  # whose values stand for the job: its weights are kept
    nan_epoch: int | None = None  # the first whose loss was not finite
    failure_message: str | None = None
    train_seconds: float | None = None  # of the epochs alone


def trials_of(c: Connection, sweep_id: int) -> list[TrialRow]:
    """The trials by number."""
    query = select(trials).where(trials.c.sweep_id == sweep_id).order_by(trials.c.number)
    return [
        TrialRow(
            row.number,
            json.loads(row.point),
            frozenset(json.loads(row.pending)),
            row.refused,
            row.pruned,
            descent_of(row),
        )
        for row in c.execute(query)
    ]


@dataclass(frozen=True)
class NewTrial:
    """A new trial, with the rows of its jobs by replicate; a rejected point has none."""

    number: int
    point: Mapping[str, Any]
    point_hash: str
    pending: Sequence[int]
    refused: str | None
    rows: Mapping[int, NewJob]
    descent: Descent | None = None  # of population-based training


def take(c: Connection, sweep_id: int, trial: NewTrial, *, is_adopting: bool = False) -> bool:
    """Add a trial with the next number, and queue its jobs.

    False: another driver has taken the number or the point, and nothing was written.
    """
    statement = insert_ignoring(c, trials).values(
        sweep_id=sweep_id,
        number=trial.number,
        point=json.dumps(trial.point, sort_keys=True),
        point_hash=trial.point_hash,
        pending=json.dumps(sorted(trial.pending)),
        refused=trial.refused,
        suggested_at=now(c),
        **columns_of(trial.descent),
    )
    if c.execute(statement.returning(trials.c.number)).first() is None:
        return False
    add_replicates(c, sweep_id, trial.number, trial.rows, is_adopting=is_adopting)
    return True


def add_replicates(
    c: Connection,
    sweep_id: int,
    number: int,
    rows: Mapping[int, NewJob],
    *,
    is_adopting: bool = False,
) -> None:
    """Queue jobs of a trial, by replicate; one that is there already is taken as it is."""
    inserted = job_table.insert(c, list(rows.values()))
    if is_adopting:
        adopt(c, [job_id for job_id, is_new in inserted if is_new])
    links = [
        {
            "sweep_id": sweep_id,
            "number": number,
            "replicate": replicate,
            "job_id": job_id,
            "is_reused": not is_new,
        }
        for replicate, (job_id, is_new) in zip(rows, inserted, strict=True)
    ]
    if links:
        c.execute(insert_ignoring(c, trial_jobs), links)


def replicates_of(c: Connection, sweep_id: int) -> list[ReplicateRow]:
    """All jobs of the sweep's trials, by trial and replicate."""
    names = (
        *("status", "seed", "fold", "epoch", "epochs", "seconds", "parameters"),
        *("nan_epoch", "failure_message", "train_seconds"),
    )
    query = (
        select(
            trial_jobs.c.number,
            trial_jobs.c.replicate,
            trial_jobs.c.job_id,
            trial_jobs.c.is_reused,
            *(jobs.c[name] for name in names),
            shown_epoch.label("shown_epoch"),
        )
        .join(jobs, jobs.c.id == trial_jobs.c.job_id)
        .where(trial_jobs.c.sweep_id == sweep_id)
        .order_by(trial_jobs.c.number, trial_jobs.c.replicate)
    )
    return [
        ReplicateRow(**{**row._mapping, "status": JobStatus(row.status)})
        for row in c.execute(query)
    ]


def prune(c: Connection, sweep_id: int, number: int, why: str) -> bool:
    """Prune a trial: its running jobs keep curve and checkpoint, its waiting ones are cancelled.

    False if it was pruned before. Jobs that other trials or users asked for too are left alone.
    """
    updated = c.execute(
        update(trials)
        .where(trials.c.sweep_id == sweep_id, trials.c.number == number, trials.c.pruned.is_(None))
        .values(pruned=why)
    ).rowcount
    if not updated:
        return False
    job_ids = select(trial_jobs.c.job_id).where(
        trial_jobs.c.sweep_id == sweep_id,
        trial_jobs.c.number == number,
        trial_jobs.c.is_reused.is_(False),
    )
    request_prune(c, list(c.scalars(job_ids)))
    return True


def request_prune(c: Connection, job_ids: Sequence[int]) -> None:
    """Request running jobs to end as pruned, and cancel waiting ones."""
    for job_id in job_ids:
        if not job_table.request(c, job_id, Request.PRUNE):
            job_table.cancel(c, job_id)


def curves(
    c: Connection, job_ids: Sequence[int], metric: str, phase: str
) -> dict[int, dict[int, float]]:
    """Job -> {epoch: value} of one metric; a NaN stays one."""
    curves_by_job: dict[int, dict[int, float]] = {}
    for chunk in chunks(job_ids):
        condition = and_(
            metrics.c.job_id.in_(chunk),
            metrics.c.metric == metric,
            metrics.c.phase == phase,
        )
        query = select(metrics.c.job_id, metrics.c.epoch, metrics.c.value).where(condition)
        for job_id, epoch, value in c.execute(query):
            curves_by_job.setdefault(job_id, {})[epoch] = float("nan") if value is None else value
    return curves_by_job


def scores_named(c: Connection, job_ids: Sequence[int], name: str) -> dict[int, float]:
    """Job -> its score of that name; a NaN stays one."""
    scores_by_job: dict[int, float] = {}
    for chunk in chunks(job_ids):
        condition = and_(scores.c.job_id.in_(chunk), scores.c.name == name)
        for job_id, value in c.execute(select(scores.c.job_id, scores.c.value).where(condition)):
            scores_by_job[job_id] = float("nan") if value is None else value
    return scores_by_job


def existing(
    c: Connection, experiment: str, hashes: Sequence[str], *, anywhere: bool = False
) -> set[str]:
    """The content hashes that the experiment has a job of.

    With `anywhere`, also those of which another experiment has a succeeded job.
    """
    hashes_there: set[str] = set()
    for chunk in chunks(hashes):
        condition = jobs.c.content_hash.in_(chunk)
        place = experiments.c.name == experiment
        if anywhere:
            place |= (jobs.c.status == JobStatus.SUCCEEDED) & experiments.c.removing.is_(None)
        query = (
            select(jobs.c.content_hash)
            .join(experiments, experiments.c.id == jobs.c.experiment_id)
            .where(condition, place)
        )
        hashes_there.update(c.scalars(query))
    return hashes_there


@dataclass(frozen=True)
class MeasuredCost:
    """What succeeded jobs of one fuse key have cost."""

    seconds_an_epoch: float
    memory_peak_bytes: int | None


def measured_costs(c: Connection, fuse_keys: Sequence[str]) -> dict[str, MeasuredCost]:
    """Fuse key -> what its jobs have cost, for those that have been run."""
    by_key: dict[str, MeasuredCost] = {}
    for chunk in chunks(fuse_keys):
        query = (
            select(
                jobs.c.fuse_key,
                func.sum(jobs.c.seconds),
                func.sum(jobs.c.epoch),
                func.max(attempts.c.memory_peak_bytes),
            )
            .join(
                attempts,
                and_(attempts.c.job_id == jobs.c.id, attempts.c.attempt == jobs.c.attempt),
            )
            .where(
                jobs.c.fuse_key.in_(chunk),
                jobs.c.status == JobStatus.SUCCEEDED,
                jobs.c.epoch > 0,
                jobs.c.starts_from.is_(None),  # its epochs may be counted on from another's
            )
            .group_by(jobs.c.fuse_key)
        )
        for key, seconds, epochs, peak in c.execute(query):
            by_key[key] = MeasuredCost(float(seconds) / int(epochs), peak)
    return by_key


def attempts_of(c: Connection, job_ids: Sequence[int]) -> list[dict[str, Any]]:
    """{worker, job, start, end, outcome} of every attempt of these jobs, by start.

    An attempt that has not ended ends at the database's present time.
    """
    rows: list[dict[str, Any]] = []
    for chunk in chunks(job_ids):
        query = select(
            attempts.c.worker,
            attempts.c.job_id.label("job"),
            attempts.c.started_at.label("start"),
            func.coalesce(attempts.c.ended_at, now(c)).label("end"),
            func.coalesce(attempts.c.outcome, "running").label("outcome"),
        ).where(attempts.c.job_id.in_(chunk))
        rows += [dict(row._mapping) for row in c.execute(query)]
    return sorted(rows, key=lambda row: (row["start"], row["job"]))
