"""The tables of sweeps, their trials and the jobs of these (the others: db/schema/tables)."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from fitfleet.db.schema.metadata import BigId, metadata

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), nullable=False, index=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("document", Text, nullable=False),  # what was asked, as JSON; the study is rebuilt
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("ends_at", Double),  # when its budget is spent; NULL: it has none
)

# A trial is one point of a sweep's space: one configuration, suggested once. Its jobs are its
# replicates, repeats by folds. The study of a search is rebuilt from these rows alone, so a
# driver may die.
trials = Table(
    "trials",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # 0 is the first, as Optuna counts
    Column("point_hash", String(64), nullable=False),
    Column("point", Text, nullable=False),  # JSON object {parameter: value}
    Column("pending", Text, nullable=False, default="[]"),  # JSON: trials without a value then
    Column("refused", Text),  # why no job was made of it; NULL: it has jobs
    Column("pruned", Text),  # what the pruner said; NULL: it was not pruned
    Column("suggested_at", Double, nullable=False),
    # Of population-based training, which has a trial for each member of each generation.
    Column("generation", Integer),  # 0 is the first; NULL: of another search
    Column("member", Integer),  # from 0; it has the same seed in all generations
    Column("parent", Integer),  # trials.number whose fit it continues; NULL in the first one
    Column("changes", Text),  # JSON object {parameter: {"from": ..., "to": ...}}
    UniqueConstraint("sweep_id", "point_hash"),
)

trial_jobs = Table(
    "trial_jobs",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # trials.number
    # repeat * folds + fold; pairs jobs of two trials
    Column("replicate", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("is_reused", Boolean, nullable=False),  # the job was there before the sweep asked
)
