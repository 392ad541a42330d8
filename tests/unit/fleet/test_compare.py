"""Comparing jobs: the order, the value that counts, and what is said when nothing can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app
from fitfleet.db.schema.tables import jobs, metrics, scores
from fitfleet.errors import FitfleetError, NotFoundError
from fitfleet.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")

CURVES = [[3.0, 1.0, 2.0], [4.0, 3.0, 1.5], [9.0, 9.0, None]]


@pytest.fixture
def done(fleet: ff.Fleet, job: dict[str, Any]) -> list[ff.Job]:
    """Three succeeded jobs of three epochs, with a curve each; the last ended in NaN."""
    handles = [fleet.submit(**{**job, "seed": i, "params": {"size": i}}) for i in range(3)]
    with fleet.database.begin() as c:
        for handle, curve in zip(handles, CURVES, strict=True):
            for epoch, value in enumerate(curve, 1):
                row = {"job_id": handle.id, "epoch": epoch, "metric": "loss", "value": value}
                c.execute(metrics.insert(), [{**row, "phase": "train"}, {**row, "phase": "val"}])
            score = {"job_id": handle.id, "name": "in_scale", "value": handle.seed / 10}
            c.execute(scores.insert(), [{**score, "source": "music:score"}])
        c.execute(jobs.update().values(status="SUCCEEDED", epoch=3))
    return [handle.refresh() for handle in handles]


def test_the_last_epoch_counts_and_nan_is_last(fleet: ff.Fleet, done: list[ff.Job]) -> None:
    table = fleet.compare("line")
    assert list(table["job"]) == [done[1].id, done[0].id, done[2].id]
    assert list(table["size"]) == [1, 0, 2]
    assert list(table.columns)[:6] == ["job", "size", "val_loss", "seed", "epoch", "loss"]
    assert table.attrs == {
        "metric": "val_loss", "direction": "minimize", "at": "last", "notes": [],
    }  # fmt: skip
    assert fleet.best("line") == done[1]


def test_the_best_epoch_counts_when_asked(fleet: ff.Fleet, done: list[ff.Job]) -> None:
    table = fleet.compare("line", at="best")
    assert list(table["val_loss"]) == [1.0, 1.5, 9.0]
    assert fleet.best("line", at="best") == done[0]


def test_the_values_are_those_of_the_weights_that_are_kept(
    fleet: ff.Fleet, done: list[ff.Job]
) -> None:
    with fleet.database.begin() as c:
        c.execute(jobs.update().where(jobs.c.id == done[0].id).values(kept_epoch=2))
        c.execute(jobs.update().where(jobs.c.id == done[2].id).values(nan_epoch=3))
    table = fleet.compare("line")
    assert list(table["job"]) == [done[0].id, done[1].id, done[2].id]
    assert list(table["val_loss"][:2]) == [1.0, 1.5] and list(table["kept_epoch"]) == [2, 3, 3]
    assert table["nan_epoch"].isna().tolist() == [True, True, False]
    assert fleet.best("line") == done[0]
    ranked = fleet.rank("line")
    assert list(ranked["mean"]) == [1.25] and list(ranked["diverged"]) == [1]
    with fleet.database.read() as c:
        losses = c.exec_driver_sql("SELECT val_loss FROM runs ORDER BY job_id").scalars().all()
    assert losses == [1.0, 1.5, None]


def test_a_run_that_was_repeated_counts_once(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    handles = [
        fleet.submit(**job),
        fleet.submit(**job, again=True),
        fleet.submit(**job, again=True),
    ]
    handles.append(fleet.submit(**{**job, "epochs": 4}))
    with fleet.database.begin() as c:
        for handle, value in zip(handles, (3.0, 2.0, 9.0, 1.0), strict=True):
            row = {"job_id": handle.id, "epoch": 3, "metric": "loss", "phase": "val"}
            c.execute(metrics.insert().values(**row, value=value))
        c.execute(jobs.update().values(status="SUCCEEDED", epoch=3))
        # The newest of those that succeeded counts.
        c.execute(jobs.update().where(jobs.c.id == handles[2].id).values(status="FAILED"))
    table = fleet.rank("line")
    assert list(table["mean"]) == [1.0, 2.0] and list(table["epochs"]) == [4, 3]
    assert list(table["n"]) == [1, 1] and table["low"].isna().all()


def test_a_parameter_named_like_a_metric_keeps_its_values(
    fleet: ff.Fleet, done: list[ff.Job]
) -> None:
    with fleet.database.begin() as c:
        c.execute(jobs.update().values(params='{"loss": "mse"}'))
    table = fleet.compare("line")
    assert set(table["params.loss"]) == {"mse"} and list(table["loss"][:2]) == [1.5, 2.0]


def test_scores_compare_as_metrics_do(fleet: ff.Fleet, done: list[ff.Job]) -> None:
    with pytest.raises(FitfleetError, match="in_scale: it is not known"):
        fleet.compare("line", "in_scale")
    table = fleet.compare("line", "in_scale", direction="maximize", top=2)
    assert list(table["job"]) == [done[2].id, done[1].id]


def test_what_cannot_be_compared_is_reported(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    with pytest.raises(NotFoundError, match="there is none yet"):
        fleet.compare("line")
    fleet.submit(**job)
    assert len(fleet.compare("line")) == 0
    with pytest.raises(NotFoundError, match="no succeeded job"):
        fleet.best("line")
    with pytest.raises(NotFoundError, match="lime: no such experiment; there is line"):
        fleet.compare("lime")


def test_what_the_table_does_not_show_is_reported(
    fleet: ff.Fleet, job: dict[str, Any], settings: Settings
) -> None:
    np.savez(Path(settings.data_root) / "other.npz", x=np.ones((8, 4)), y=np.ones((8, 1)))
    alike = [
        fleet.submit(**job, params={"a": 1}),
        fleet.submit(**{**job, "optimizer": {"SGD": {"learning_rate": 0.5}}}, params={"a": 1}),
        fleet.submit(**{**job, "epochs": 4, "seed": 7}, params={"a": 2}),
    ]
    with fleet.database.begin() as c:
        for handle in alike:
            c.execute(metrics.insert().values(
                job_id=handle.id, epoch=3, metric="loss", phase="train", value=1.0
            ))  # fmt: skip
        c.execute(jobs.update().values(status="SUCCEEDED", epoch=3))
    left, right, _ = (handle.id for handle in alike)
    assert fleet.compare("line").attrs["notes"] == [
        f"jobs {left} and {right} have equal params and differ in optimizer.learning_rate"
    ]
    more = fleet.submit(**{**job, "dataset": "other.npz", "loss": "mae"}, params={"a": 3})
    with fleet.database.begin() as c:
        c.execute(jobs.update().where(jobs.c.id == more.id).values(status="SUCCEEDED", epoch=3))
    first, _ = fleet.compare("line").attrs["notes"]
    assert first == "the jobs differ in dataset and loss: compare loss with care"
    printed = CliRunner().invoke(app, ["compare", "line", "--database-url", settings.database_url])
    assert "note: the jobs differ in dataset and loss" in printed.stdout


def test_an_unknown_metric_lists_those_that_exist(fleet: ff.Fleet, done: list[ff.Job]) -> None:
    with pytest.raises(FitfleetError, match="there are loss, val_loss, in_scale"):
        fleet.compare("line", "val_los")


def test_a_history_has_a_row_an_epoch(done: list[ff.Job]) -> None:
    history = done[0].history
    assert list(history.columns) == ["epoch", "loss", "val_loss"]
    assert list(history["loss"]) == [3.0, 1.0, 2.0]
    assert history["epoch"].tolist() == [1, 2, 3]
    assert done[2].history["val_loss"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("at", ["last", "best"])
@pytest.mark.parametrize("metric", [None, "loss", "in_scale"])
def test_the_database_chooses_the_best_as_the_table_does(
    fleet: ff.Fleet, done: list[ff.Job], metric: str | None, at: Any
) -> None:
    for direction in ("minimize", "maximize"):
        whole = fleet.compare("line", metric, direction=direction, at=at)
        for top in (1, 2, 9):
            part = fleet.compare("line", metric, direction=direction, at=at, top=top)
            assert list(part["job"]) == list(whole["job"][:top])
            assert part.equals(whole.head(top)[part.columns])
