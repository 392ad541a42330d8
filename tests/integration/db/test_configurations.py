"""Ranking an experiment by narrow rows says what ranking whole runs says."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

import pandas as pd
import pytest
from sqlalchemy import update
from support.rows import commit, insert, new_job, register, take

from fitfleet.analysis.configurations import rank_experiment
from fitfleet.analysis.objective import Objective
from fitfleet.analysis.ranking import rank
from fitfleet.analysis.runs import experiment_runs
from fitfleet.db.attempts import ends, metrics
from fitfleet.db.attempts.leases import Claim
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.jobs.jobs import NewJob
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.states import FailureClass

OBJECTIVES = [
    Objective(name, direction, at)
    for name, direction, at in (
        ("loss", "minimize", "last"),
        ("seconds", "minimize", "last"),
        ("parameters", "maximize", "last"),
        ("test_loss", "minimize", "last"),
        ("unheard_of", "maximize", "last"),
        ("val_accuracy", "maximize", "best"),
        ("val_loss", "minimize", "best"),
        ("val_loss", "minimize", "last"),
    )
]


def _rows(group: str, seeds: int, epochs: int, folds: int | None = None) -> list[NewJob]:
    """The repeats of a configuration, whose param `name` differs from repeat to repeat."""
    rows = []
    for seed in range(seeds):
        for fold in range(folds or 1):
            params = {"units": int(group[1:]) * 8} | ({"name": f"s{seed}"} if seed > 2 else {})
            row = new_job(f"{group}-{seed}-{fold}", group=group, epochs=epochs, params=params)
            dataset = row.spec.dataset
            if folds is not None:
                how = {"kind": "kfold", "k": folds, "index": fold, "seed": seed % 2}
                dataset = dataset.model_copy(update={"fold": how})
            seed_of = seed // 2 if folds is not None else seed
            spec = row.spec.model_copy(update={"seed": seed_of, "dataset": dataset})
            rows.append(replace(row, spec=spec))
    return rows


def _run(database: Database, claim: Claim, draw: random.Random) -> None:
    """Some succeed, with or without a score, some diverge, some fail."""
    with database.begin() as c:
        if draw.random() < 0.1:
            ends.fail(c, claim, FailureClass.USER, "bad", "trace", "log")
            return
        is_nan = draw.random() < 0.1
        for epoch in (1, 2, 3):
            loss = float("nan") if is_nan and epoch == 3 else draw.choice([0.25, draw.random()])
            values = {"loss": draw.random(), "val_loss": loss}
            if claim.job_id % 3:
                values["val_accuracy"] = draw.random()
            metrics.record(c, [EpochMetrics(claim, epoch, values)])
        scores = {"test_loss": draw.random()} if draw.random() < 0.9 else {}
        if claim.job_id % 3 == 0:
            scores["val_accuracy"] = draw.random()  # of an evaluator
        kept = {"kept_epoch": 2} if draw.random() < 0.5 else {}
        commit(c, claim, epoch=3, seconds=draw.random(), scores={"keras": scores}, **kept)
        if is_nan:
            c.execute(update(jobs).where(jobs.c.id == claim.job_id).values(nan_epoch=3))


@pytest.fixture
def ran(database: Database) -> Database:
    """Configurations of 1 to 12 repeats, folds among them, some of which ran again."""
    draw = random.Random(7)
    register(database, 4)
    rows = [*_rows("g1", 12, 3), *_rows("g2", 12, 3), *_rows("g3", 3, 3), *_rows("g4", 1, 3)]
    rows += [*_rows("g5", 4, 3, folds=2), *_rows("g6", 5, 4), *_rows("g7", 5, 3)]
    rows += [replace(row, again=True) for row in rows[::5]]
    insert(database, *rows)
    insert(database, new_job("waits", group="g8"), new_job("x", experiment="other"))
    for claim in take(database, len(rows)):
        _run(database, claim, draw)
    return database


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: f"{o.name}-{o.at}")
def test_the_table_is_that_of_whole_runs(ran: Database, objective: Objective) -> None:
    expected = rank(experiment_runs(ran, "digits", [objective]), [objective])
    table = rank_experiment(ran, "digits", [objective])
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert table.attrs == expected.attrs
    first = rank_experiment(ran, "digits", [objective], top=2)
    pd.testing.assert_frame_equal(first, expected.head(2), check_exact=True)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_an_experiment_without_ended_jobs_has_no_rows(
    database: Database, direction: Literal["maximize", "minimize"]
) -> None:
    insert(database, new_job("waits"))
    for name in ("digits", "unknown"):
        table = rank_experiment(database, name, [Objective("val_loss", direction)])
        expected = rank([], [Objective("val_loss", direction)])
        assert list(table.columns) == list(expected.columns) and len(table) == 0
