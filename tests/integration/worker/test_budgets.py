"""A budget ends a fit with an epoch: a result like any other, told apart, and open to go on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fleets import ActAtEpochs, DrainAfter, Fleet
from support.parts import quick

import fitfleet as ff
from fitfleet.analysis.compare import compare
from fitfleet.client.job import Job
from fitfleet.db.jobs import jobs
from fitfleet.db.schema.sweep_tables import sweeps
from fitfleet.db.sweeps import budgets
from fitfleet.errors import SearchError, SpecError
from fitfleet.spec.identity import content_hash, fuse_key
from fitfleet.spec.job import JobOptions
from fitfleet.states import JobStatus
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.driving.driver import Driver
from fitfleet.sweeps.driving.sweep_rows import open_sweep
from fitfleet.weights.files import read_weights

LONG = 10_000  # epochs that nobody waits for
SHORT = 1e-9  # seconds: spent at the end of the first epoch


def weights(fleet: Fleet, row: Any) -> dict[str, np.ndarray]:
    return read_weights(fleet.artifact(row), fleet.settings)


@pytest.mark.parametrize("engine", quick(["", "fit"], ""))
def test_a_fit_out_of_time_is_that_of_fewer_epochs(
    sqlite_url: str, tmp_path: Path, job: dict[str, Any], engine: str
) -> None:
    with Fleet(sqlite_url, tmp_path, engine=engine) as fleet:
        asked = {**job, "epochs": LONG, "stop_after": SHORT}
        cut = fleet.run(**asked)
        whole = fleet.run(**{**job, "epochs": 1})
        assert (cut.status, cut.epoch, cut.stopped_by) == (JobStatus.SUCCEEDED, 1, "budget")
        assert cut.failure_class is None and cut.failures == 0
        assert whole.stopped_by is None
        assert fleet.curve(cut.id) == fleet.curve(whole.id)
        assert fleet.scores(cut.id) == fleet.scores(whole.id)
        left, right = weights(fleet, cut), weights(fleet, whole)
        for name, array in left.items():
            np.testing.assert_array_equal(array, right[name])
        handle = Job(fleet.database, fleet.settings, cut)
        assert "ended by its budget" in repr(handle) and "by its budget" in handle._repr_html_()
        notes = compare(fleet.database, cut.experiment).attrs["notes"]
        assert notes[0] == f"a budget ended before the last epoch: job {cut.id}"
        with fleet.database.read() as c:
            query = sa.text("SELECT job_id FROM runs WHERE stopped_by = 'budget'")
            assert list(c.scalars(query)) == [cut.id]


def test_seconds_add_up_over_attempts(fleet: Fleet, job: dict[str, Any]) -> None:
    engines = fleet.child.engines
    fleet.child.engines = DrainAfter(engines, fleet.child, [0])  # type: ignore[assignment]
    row = fleet.run(**{**job, "epochs": LONG, "stop_after": SHORT})
    assert (row.status, row.epoch) == (JobStatus.QUEUED, 1), "the drain came first"
    fleet.child.is_draining, fleet.child.engines = False, engines
    fleet.attempt()
    row = fleet.row(row.id)
    assert (row.status, row.epoch, row.attempt) == (JobStatus.SUCCEEDED, 1, 2)
    assert row.stopped_by == "budget"


def test_extended_it_is_the_fit_that_was_never_cut(fleet: Fleet, job: dict[str, Any]) -> None:
    best = {"EarlyStopping": {"patience": 9, "restore_best_weights": True}}
    given = {**job, "epochs": 4, "callbacks": [best]}
    cut = fleet.run(**given, stop_after=SHORT)
    assert cut.epoch == 1 and cut.stopped_by == "budget"
    Job(fleet.database, fleet.settings, cut).extend(epochs=4)
    fleet.attempt()
    extended = fleet.row(cut.id)
    assert (extended.status, extended.epoch) == (JobStatus.SUCCEEDED, 4)
    assert extended.stopped_by is None
    straight = fleet.run(**{**given, "experiment": "straight"})
    assert extended.content_hash == straight.content_hash
    assert fleet.curve(cut.id) == fleet.curve(straight.id)
    for name, array in weights(fleet, extended).items():
        np.testing.assert_array_equal(array, weights(fleet, straight)[name])


def test_one_that_ends_by_itself_is_not_cut_short(fleet: Fleet, job: dict[str, Any]) -> None:
    row = fleet.run(**{**job, "epochs": 1, "stop_after": SHORT})
    assert (row.epoch, row.stopped_by) == (1, None)
    row = fleet.run(**{**job, "epochs": 2, "stop_after": "1h"})
    assert (row.epoch, row.stopped_by) == (2, None)


def test_a_budget_is_of_the_jobs_identity_and_none_of_its_program(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    ids = [fleet.submit(**job, stop_after=given) for given in ("30m", 1800, "1h")]
    specs = [Job(fleet.database, fleet.settings, fleet.row(number)).spec for number in ids]
    assert ids[0] == ids[1] != ids[2] and specs[0].stop_after == 1800.0
    plain = specs[0].model_copy(update={"stop_after": None})
    assert content_hash(plain, "f") != content_hash(specs[0], "f")
    assert len({fuse_key(spec, "f", JobOptions()) for spec in (plain, *specs)}) == 1
    for wrong in ("soon", 0, -1, "5 weeks", True):
        with pytest.raises(SpecError, match=r"^stop_after: .* is not a duration; give seconds, or"):
            fleet.submit(**job, stop_after=wrong)
    with pytest.raises(SearchError, match=r"^budget: 'later' is not a duration; give seconds"):
        design({**job, "budget": "later"})


def test_a_sweep_out_of_time_keeps_what_has_trained(fleet: Fleet, job: dict[str, Any]) -> None:
    asked = design(
        {
            **job,
            "optimizer": {"SGD": {"learning_rate": ff.choice([0.01, 0.02, 0.03])}},
            "epochs": LONG,
            "search": "grid",
            "objective": "loss",
            "budget": "1h",
        }
    )
    row = open_sweep(fleet.database, asked)
    driver = Driver(fleet.database, fleet.settings, row)
    assert driver.step().jobs_open == 3
    begun: list[int] = []

    def act(prepared: Any, epoch: int) -> None:
        begun.append(epoch)
        if epoch == 1:
            with fleet.database.begin() as c:
                c.execute(sa.update(sweeps).values(ends_at=1.0))
            assert not driver.step().is_done
            time.sleep(1.0)  # a heartbeat tells the job

    fleet.child.engines = ActAtEpochs(fleet.child.engines, act)  # type: ignore[assignment]
    fleet.attempt()
    progress = driver.step()
    assert progress.is_done and (progress.complete, progress.pruned) == (1, 2)
    assert progress.failed == 0
    rows = [fleet.row(number) for number in sorted(driver.job_ids())]
    (kept,) = [one for one in rows if one.status is JobStatus.SUCCEEDED]
    assert kept.epoch == 2 and kept.stopped_by == "budget" and kept.artifact_path
    others = [one for one in rows if one.id != kept.id]
    assert [one.status for one in others] == [JobStatus.CANCELLED] * 2
    assert {trial.pruned for trial in driver.results.rows} == {None, budgets.WHY}
    with fleet.database.begin() as c:
        assert budgets.settle(c, row.id), "again it changes nothing"
        assert jobs.status_of(c, kept.id) is JobStatus.SUCCEEDED
