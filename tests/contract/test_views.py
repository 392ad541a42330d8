"""The views are a public contract: their columns, their types and their answers.

A change here is a change for everyone who reads the database: write it into CHANGELOG.md.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from scipy import stats
from support.rows import commit, insert, new_job, register, take

from fitfleet.db.accounts import tokens, users
from fitfleet.db.actor import Scope
from fitfleet.db.attempts import ends, leases, memory, metrics
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.jobs import experiments, labels
from fitfleet.db.schema import tables, views
from fitfleet.db.schema.sweep_tables import trial_jobs
from fitfleet.db.session import Database
from fitfleet.db.sweeps import imported_points, sweeps, trials
from fitfleet.db.sweeps.imported_points import ImportedPoint
from fitfleet.db.sweeps.lineage import Descent
from fitfleet.db.sweeps.trials import NewTrial
from fitfleet.spec.memory import FitKind
from fitfleet.states import FailureClass

CONTRACT = {
    "runs": "job_id experiment status params seed fold group_hash queue priority epochs epoch"
    " attempts failures seconds submitted_at started_at finished_at worker engine engine_reason"
    " failure_class failure_message parameters loss val_loss best_val_loss best_epoch"
    " test_loss checkpoint_path artifact_path artifact_bytes kept_epoch last_loss last_val_loss"
    " nan_epoch train_seconds requires stopped_by user_name tags note",
    "curves": "job_id experiment epoch metric phase value",
    "groups": "experiment group_hash params metric phase n mean std low high minimum maximum"
    " seconds epochs diverged",
    "leaderboard": "experiment metric phase job_id params seed value rank_low rank_high epoch",
    "workers": "worker service host pid slot queue device started_at heartbeat_at ended_at"
    " is_draining running name labels",
    "events": "event_id at kind job_id attempt worker detail",
    "lineage": "sweep experiment generation member trial job_id parent_job_id parent_member"
    " is_exploited params changes",
    "imported_points": "sweep experiment number source source_trial params objectives left_out"
    " unused",
    "audit": "audit_id at user_name token_id action target detail",
    "users": "user_name max_running in_flight gpu_hours gpu_hours_used group_name shares",
    "shares": "kind name group_name shares slots in_flight max_running gpu_hours gpu_hours_used",
    "tokens": "token_id user_name scope created_at expires_at revoked_at max_jobs",
    "backlog": "queue ready held in_flight",
    "memory": "architecture batch_size dtype optimizer engine cohort device peak_bytes"
    " framework_bytes driver_bytes bound_bytes measured_at",
}
_KINDS: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "real": (float, int),
    "text": (str,),
    "time": (str,),
    "json": (str,),
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _rows(database: Database, query: str) -> list[dict[str, Any]]:
    with database.read() as c:
        return [dict(row._mapping) for row in c.exec_driver_sql(query)]


def _finish(
    database: Database,
    losses: Sequence[float],
    scores: dict[str, float],
    kept_epoch: int | None = None,
) -> int:
    (claim,) = take(database)
    with database.begin() as c:
        leases.describe_attempts(c, [(claim, {"engine": "fit", "engine_reason": "alone"})])
        for epoch, loss in enumerate(losses, 1):
            logs = {"loss": 2 * loss, "val_loss": loss}
            metrics.record(c, [EpochMetrics(claim, epoch, logs)])
        scored = {"keras": {"test_loss": losses[-1] + 1}, "music:score": scores}
        nan_epoch = next((e for e, v in enumerate(losses, 1) if not math.isfinite(v)), None)
        given = {"kept_epoch": kept_epoch, "nan_epoch": nan_epoch, "seconds": 2.0, "scores": scored}
        commit(c, claim, epoch=len(losses), **given)
    return claim.job_id


@pytest.fixture
def filled(database: Database) -> Database:
    """Two configurations of three seeds, one of a single seed, one that failed, one running."""
    register(database, 2)
    rows = [new_job(f"a{i}", group="a", seed=i, params={"units": 16}) for i in range(3)]
    rows += [new_job(f"b{i}", group="b", seed=i, params={"units": 32}) for i in range(3)]
    rows += [new_job("c", group="c"), new_job("bad"), new_job("busy"), new_job("later")]
    rows += [new_job("x", experiment="other", priority=-1)]
    insert(database, *rows)
    for last in (1.0, 2.0, 4.0, 0.5, 0.25, 1.0):
        _finish(database, [3.0, 0.125, last], {"in_scale": last / 10})
    _finish(database, [5.0], {})
    (bad,) = take(database)
    take(database)
    with database.begin() as c:
        ends.fail(c, bad, FailureClass.USER, "of no use", "trace", "log")
        experiments.pause(c, "other")
        users.set_quota(c, "ana", max_running=3, gpu_hours=10.0)
        tokens.create(c, "ana", Scope.READ, expires_s=60.0)
        kind = FitKind("a" * 64, 32, "float32", "Adam")
        memory.record(c, [Measurement(kind, "loop", 1, "cpu", 600_000_000)])
    _grow(database)
    return database


def _grow(database: Database) -> None:
    """A population of two: the second member takes over from the first."""
    changes = {"rate": {"from": 0.1, "to": 0.08}}
    descents = [Descent(0, 0), Descent(0, 1), Descent(1, 0, 0, {}), Descent(1, 1, 0, changes)]
    with database.begin() as c:
        sweep, _ = sweeps.create(c, "grown", "digits", "{}")
        rest = ({"loss": 0.5}, "units=9: no parameter", None)
        imported_points.write(c, sweep.id, [ImportedPoint("optuna:s", "7", {"rate": 0.3}, *rest)])
        for number, descent in enumerate(descents):
            point = {"rate": 0.08 if number == 3 else 0.1}
            trial = NewTrial(number, point, str(number), (), None, {}, descent)
            assert trials.take(c, sweep.id, trial)
            if number < 3:
                values = {"number": number, "replicate": 0, "job_id": number + 1}
                link = trial_jobs.insert().values(sweep_id=sweep.id, is_reused=False, **values)
                c.execute(link)


@pytest.mark.parametrize("view", CONTRACT)
def test_the_columns_are_those_promised(view: str, filled: Database) -> None:
    names = CONTRACT[view].split()
    assert [name for name, _, _ in views.COLUMNS[view]] == names
    assert list(_rows(filled, f"SELECT * FROM {view}")[0]) == names
    assert all(meaning for _, _, meaning in views.COLUMNS[view])


def test_these_are_all_views(filled: Database) -> None:
    assert sorted(sa.inspect(filled.engine).get_view_names()) == sorted(CONTRACT)
    assert sorted(views.COLUMNS) == sorted(CONTRACT)


@pytest.mark.parametrize("view", CONTRACT)
def test_the_values_are_of_the_types_promised(view: str, filled: Database) -> None:
    rows = _rows(filled, f"SELECT * FROM {view}")
    for name, kind, _ in views.COLUMNS[view]:
        assert kind in views.TYPES
        for value in (row[name] for row in rows if row[name] is not None):
            assert type(value) in _KINDS[kind], (name, value)
            assert kind != "time" or _TIME.fullmatch(value), (name, value)
            shape = list if name == "tags" else dict
            assert kind != "json" or isinstance(json.loads(value), shape)


def test_the_view_lineage_has_its_columns_and_rows(filled: Database) -> None:
    names = ("generation", "member", "trial", "job_id", "parent_job_id", "parent_member")
    rows = _rows(filled, "SELECT * FROM lineage ORDER BY trial")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (0, 0, 0, 1, None, None),
        (0, 1, 1, 2, None, None),
        (1, 0, 2, 3, 1, 0),
        (1, 1, 3, None, 1, 0),
    ]
    assert [row["is_exploited"] for row in rows] == [0, 0, 0, 1]
    assert json.loads(rows[3]["params"]) == {"rate": 0.08}
    assert [row["changes"] for row in rows[:3]] == [None, None, "{}"]
    assert json.loads(rows[3]["changes"]) == {"rate": {"from": 0.1, "to": 0.08}}
    assert {(row["sweep"], row["experiment"]) for row in rows} == {("grown", "digits")}


def test_the_view_imported_points_has_its_columns_and_rows(filled: Database) -> None:
    (row,) = _rows(filled, "SELECT * FROM imported_points")
    assert (row["sweep"], row["experiment"], row["number"]) == ("grown", "digits", 0)
    assert (row["source"], row["source_trial"], row["unused"]) == ("optuna:s", "7", None)
    assert (row["params"], row["objectives"]) == ('{"rate": 0.3}', '{"loss": 0.5}')
    with filled.begin() as c:
        c.execute(sa.delete(tables.sweeps))
    assert _rows(filled, "SELECT * FROM imported_points") == []


def test_the_view_runs_has_its_columns_and_rows(filled: Database) -> None:
    runs = {row["job_id"]: row for row in _rows(filled, "SELECT * FROM runs")}
    assert len(runs) == 11
    first = runs[1]
    assert (first["status"], first["experiment"], first["epoch"]) == ("SUCCEEDED", "digits", 3)
    assert (first["loss"], first["val_loss"], first["best_val_loss"]) == (2.0, 1.0, 0.125)
    assert (first["best_epoch"], runs[9]["best_epoch"]) == (2, None)
    assert (first["test_loss"], first["seconds"], first["attempts"]) == (2.0, 2.0, 1)
    assert (first["worker"], first["engine"]) == ("host:1:0", "fit")
    assert first["submitted_at"] <= first["started_at"] <= first["finished_at"]
    assert (runs[8]["status"], runs[8]["failure_class"]) == ("FAILED", "user")
    assert runs[8]["failure_message"] == "of no use"
    assert (runs[9]["status"], runs[9]["finished_at"]) == ("RUNNING", None)
    assert (runs[10]["status"], runs[10]["worker"]) == ("QUEUED", None)


def test_the_view_curves_has_its_columns_and_rows(filled: Database) -> None:
    query = "SELECT epoch, value FROM curves WHERE job_id = 2 AND metric = 'loss' AND phase = 'val'"
    rows = _rows(filled, query + " ORDER BY epoch")
    assert [tuple(row.values()) for row in rows] == [(1, 3.0), (2, 0.125), (3, 2.0)]


def test_groups_have_the_interval_of_the_t_distribution(filled: Database) -> None:
    query = "SELECT * FROM groups WHERE experiment = 'digits' AND metric = 'loss' AND phase = 'val'"
    groups = {row["group_hash"]: row for row in _rows(filled, query)}
    assert sorted(groups) == ["a", "b", "c"]
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, sum(values) / 3, stats.sem(values))
    row = groups["a"]
    assert (row["n"], row["minimum"], row["maximum"], row["seconds"]) == (3, 1.0, 4.0, 2.0)
    assert row["mean"] == pytest.approx(7 / 3)
    assert row["std"] == pytest.approx(math.sqrt(7 / 3))
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert json.loads(row["params"]) == {"units": 16}
    alone = groups["c"]
    assert (alone["n"], alone["mean"], alone["std"], alone["low"]) == (1, 5.0, None, None)


def test_values_are_those_of_the_weights_that_are_kept(database: Database) -> None:
    register(database, 1)
    insert(database, new_job("best"), new_job("last"), new_job("busy"))
    _finish(database, [3.0, 0.5, 2.0], {}, kept_epoch=2)
    _finish(database, [4.0, 1.0], {})
    (claim,) = take(database)
    with database.begin() as c:
        metrics.record(c, [EpochMetrics(claim, 1, {"loss": 8.0, "val_loss": 4.0})])
    columns = "loss, val_loss, kept_epoch, epoch, last_loss, last_val_loss"
    rows = _rows(database, f"SELECT {columns} FROM runs ORDER BY job_id")
    assert [tuple(row.values()) for row in rows] == [
        (1.0, 0.5, 2, 3, 4.0, 2.0),
        (2.0, 1.0, 2, 2, 2.0, 1.0),
        (8.0, 4.0, None, 1, 8.0, 4.0),
    ]
    query = "FROM leaderboard WHERE metric = 'loss' AND phase = 'val' ORDER BY rank_low"
    rows = _rows(database, f"SELECT job_id, value, epoch {query}")
    assert [tuple(row.values()) for row in rows] == [(1, 0.5, 2), (2, 1.0, 2)]


def test_groups_count_each_seed_and_fold_once_and_leave_out_what_diverged(
    database: Database,
) -> None:
    register(database, 1)
    seeds = [new_job(f"a{i}", group="a", seed=i) for i in range(3)]
    longer = [new_job(f"long{i}", group="long", seed=i, epochs=9) for i in range(2)]
    insert(database, *seeds, new_job("a0", group="a", again=True), *longer)
    # The rerun of seed 0 counts in its place; seed 2 diverged.
    for value in (9.0, 2.0, math.inf, 1.0, 5.0, math.nan):
        _finish(database, [value], {})
    where = "WHERE metric = 'loss' AND phase = 'val' ORDER BY group_hash"
    columns = "group_hash, n, mean, std, low, high, maximum, epochs, diverged"
    first, second = _rows(database, f"SELECT {columns} FROM groups {where}")
    low, high = stats.t.interval(0.95, 1, 1.5, stats.sem([2.0, 1.0]))
    assert (first["n"], first["mean"], first["maximum"]) == (2, 1.5, 2.0)
    assert first["std"] == pytest.approx(math.sqrt(0.5))
    assert (first["low"], first["high"]) == (pytest.approx(low), pytest.approx(high))
    assert (first["epochs"], first["diverged"]) == (5, 1)
    assert (second["n"], second["mean"], second["low"], second["epochs"]) == (1, 5.0, None, 9)
    assert second["diverged"] == 1
    ranked = _rows(database, f"SELECT job_id FROM leaderboard {where.replace('group_hash', '1')}")
    assert sorted(row["job_id"] for row in ranked) == [1, 2, 4, 5]
    nans = _rows(database, "SELECT job_id, nan_epoch FROM runs WHERE nan_epoch IS NOT NULL")
    assert [row["job_id"] for row in nans] == [3, 6]


def test_groups_answer_beside_values_that_have_no_square(database: Database) -> None:
    register(database, 1)
    insert(database, *(new_job(f"{i}", group=f"{i // 2}", seed=i) for i in range(6)))
    for value in (1e200, -1.7e308, 3e-200, 1e-200, 2.0, 1.0):
        _finish(database, [value], {})
    where = "WHERE metric = 'loss' AND phase = 'val' ORDER BY group_hash"
    rows = _rows(database, f"SELECT n, mean, std, diverged FROM groups {where}")
    assert [tuple(row.values()) for row in rows] == [
        (2, pytest.approx(2e-200), 0.0, 0),
        (2, 1.5, pytest.approx(math.sqrt(0.5)), 0),
    ]


def test_groups_and_leaderboard_have_the_scores_too(filled: Database) -> None:
    query = "SELECT mean FROM groups WHERE group_hash = 'b' AND metric = {} AND phase = {}"
    (test,) = _rows(filled, query.format("'loss'", "'test'"))
    assert test["mean"] == pytest.approx(1 + 1.75 / 3)
    (score,) = _rows(filled, query.format("'in_scale'", "'score'"))
    assert score["mean"] == pytest.approx(0.175 / 3)
    best = _rows(
        filled,
        "SELECT job_id, value FROM leaderboard WHERE experiment = 'digits'"
        " AND metric = 'in_scale' AND phase = 'score' AND rank_low = 1",
    )
    assert best == [{"job_id": 5, "value": 0.025}]


def test_the_leaderboard_ranks_ties_alike(filled: Database) -> None:
    query = (
        "SELECT job_id, value, rank_low, rank_high FROM leaderboard WHERE experiment = 'digits'"
        " AND metric = 'loss' AND phase = 'val' ORDER BY rank_low, job_id"
    )
    assert [tuple(row.values()) for row in _rows(filled, query)] == [
        (5, 0.25, 1, 7),
        (4, 0.5, 2, 6),
        (1, 1.0, 3, 4),
        (6, 1.0, 3, 4),
        (2, 2.0, 5, 3),
        (3, 4.0, 6, 2),
        (7, 5.0, 7, 1),
    ]


def test_the_views_workers_and_events_have_their_columns_and_rows(filled: Database) -> None:
    workers = {row["worker"]: row for row in _rows(filled, "SELECT * FROM workers")}
    assert {name: row["running"] for name, row in workers.items()} == {"host:1:0": 1, "host:1:1": 0}
    assert {row["is_draining"] for row in workers.values()} == {0}
    kinds = _rows(filled, "SELECT kind, job_id, detail FROM events ORDER BY event_id")
    assert [row["kind"] for row in kinds] == ["failed", "paused"]
    assert kinds[0]["job_id"] == 8
    assert kinds[1]["detail"] == "other"


@pytest.mark.slow
def test_the_views_answer_where_tensorflow_came_before_sqlite(tmp_path: Path) -> None:
    """TensorFlow brings an SQLite of its own, which then is Python's, and has no sqrt."""
    code = (
        "import sys, tensorflow; from fitfleet.db.session import Database; import sqlalchemy as sa;"
        " database = Database(sys.argv[1]); database.upgrade();\n"
        "with database.read() as c:\n"
        "    assert c.execute(sa.text('SELECT * FROM groups')).all() == []\n"
        "    found = c.execute(sa.text('SELECT sqrt(4), sqrt(NULL), sqrt(-1)')).one()\n"
        "    assert tuple(found) == (2.0, None, None), found\n"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'fleet.db'}"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]


def test_who_may_do_what_and_who_did(filled: Database) -> None:
    (user,) = _rows(filled, "SELECT * FROM users")
    assert (user["user_name"], user["max_running"], user["gpu_hours"]) == ("ana", 3, 10.0)
    (token,) = _rows(filled, "SELECT * FROM tokens")
    assert (token["user_name"], token["scope"], token["revoked_at"]) == ("ana", "read", None)
    actions = [row["action"] for row in _rows(filled, "SELECT * FROM audit ORDER BY audit_id")]
    assert actions == ["submit", "submit", "pause", "set quota", "create token", "submit"]
    names = {row["user_name"] for row in _rows(filled, "SELECT * FROM runs")}
    assert names == {filled.actor.user}


def test_runs_have_the_labels_of_a_job(filled: Database) -> None:
    with filled.begin() as c:
        labels.tag(c, 2, ["good", "baseline"])
        labels.note(c, 2, "see page 3")
    query = "SELECT job_id, tags, note FROM runs WHERE job_id < 3 ORDER BY job_id"
    assert [tuple(row.values()) for row in _rows(filled, query)] == [
        (1, "[]", ""),
        (2, '["baseline", "good"]', "see page 3"),
    ]


def test_the_backlog_distinguishes_what_may_start_from_what_is_held(filled: Database) -> None:
    """One job runs and one waits; one is of a paused experiment, later two wait."""
    query = "SELECT * FROM backlog"
    assert _rows(filled, query) == [{"queue": "cpu", "ready": 1, "held": 1, "in_flight": 1}]
    child, _ = insert(filled, new_job("child"), new_job("gpu", queue="gpu"))
    with filled.begin() as c:
        c.exec_driver_sql(f"UPDATE jobs SET not_before = 9e12 WHERE id IN (10, {child})")
    assert _rows(filled, query + " ORDER BY queue") == [
        {"queue": "cpu", "ready": 0, "held": 3, "in_flight": 1},
        {"queue": "gpu", "ready": 1, "held": 0, "in_flight": 0},
    ]
