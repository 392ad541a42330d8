"""A fit that is taken from its worker and resumes elsewhere ends as the straight one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest
from fleets import DrainAfter, Fleet, assert_same_file
from resume_cases import kinds
from support.parts import quick

from fitfleet.db.jobs import jobs
from fitfleet.states import JobStatus

# Keras's own fit for every kind, and for some the engine that the worker would choose.
SLOW = [(name, "fit") for name in kinds(Path()) if name != "stopping"]
SLOW += [("stateful for ever", ""), ("lists", "")]
CASES = [
    ("stopping", "fit"),
    ("stopping", ""),
    *(pytest.param(*c, marks=[pytest.mark.slow, pytest.mark.exhaustive]) for c in SLOW),
]


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_a_fit_drained_twice_equals_the_straight_one(
    name: str, engine: str, data: Path, job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    job = {**job, "epochs": 5, **kinds(data)[name]}
    with Fleet(sqlite_url, tmp_path, engine=engine) as fleet:
        straight = fleet.run(**job, experiment="straight")
        assert straight.status is JobStatus.SUCCEEDED, fleet.log(straight.id)
        torn = fleet.submit(**job, experiment="torn")
        fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1, 2])
        for _ in range(2):
            fleet.attempt()
            fleet.child.is_draining = False
            assert fleet.row(torn).status is JobStatus.QUEUED, fleet.row(torn)
        fleet.attempt()
        row = fleet.row(torn)
        assert row.status is JobStatus.SUCCEEDED, row.failure_message
        attempts = [(a["outcome"], a["first_epoch"]) for a in fleet.attempts(torn)]
        assert attempts == [("released", 0), ("released", 2), ("succeeded", 3)]
        assert (row.failures, row.epoch) == (0, straight.epoch)
        assert fleet.curve(torn) == fleet.curve(straight.id)
        assert fleet.scores(torn) == fleet.scores(straight.id)
        assert_same_file(fleet.artifact(row), fleet.artifact(straight))


@pytest.mark.parametrize(
    "name", quick(["noisy", "stopping", "stateful for ever", "averaged"], "stopping")
)
def test_an_extended_fit_equals_one_that_was_asked_for_at_first(
    name: str, data: Path, job: dict[str, Any], fleet: Fleet
) -> None:
    job = {**job, "epochs": 5, **kinds(data)[name]}
    straight = fleet.run(**job, experiment="straight")
    short = fleet.run(**{**job, "epochs": 3}, experiment="short")
    assert short.status is JobStatus.SUCCEEDED, short.failure_message
    with fleet.database.begin() as c:
        assert jobs.extend(c, short.id, job["epochs"])
    fleet.attempt()
    row = fleet.row(short.id)
    assert fleet.attempts(short.id)[1]["first_epoch"] == 3
    assert fleet.curve(short.id) == fleet.curve(straight.id)
    assert fleet.scores(short.id) == fleet.scores(straight.id)
    assert_same_file(fleet.artifact(row), fleet.artifact(straight))


@pytest.mark.parametrize("way", quick(["drained", "extended"], "drained"))
def test_a_checkpoint_that_is_another_file_is_not_resumed_from(
    way: str, data: Path, job: dict[str, Any], fleet: Fleet
) -> None:
    """It is a good HDF5 file with other weights; the job starts over, with the same numbers."""
    job = {**job, "epochs": 4, **kinds(data)["noisy"]}
    straight = fleet.run(**job, experiment="straight")
    torn = fleet.submit(**{**job, "epochs": 2 if way == "extended" else 4}, experiment="torn")
    if way == "drained":
        fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    if way == "extended":
        with fleet.database.begin() as c:
            assert jobs.extend(c, torn, 4)
    with h5py.File(fleet.checkpoint(fleet.row(torn)), "r+") as file:
        weights = file["layers"]
        datasets: list[h5py.Dataset] = []
        weights.visititems(
            lambda _, item: datasets.append(item) if hasattr(item, "dtype") else None
        )
        datasets[0][...] = 1.0
    fleet.attempt()
    row = fleet.row(torn)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert [a["first_epoch"] for a in fleet.attempts(torn)] == [0, 0]
    (told,) = [event for event in fleet.events(torn) if event["kind"] == "checkpoint"]
    assert told["detail"].startswith("starts over: ") and "sha256" in told["detail"]
    assert fleet.curve(torn) == fleet.curve(straight.id)
    assert_same_file(fleet.artifact(row), fleet.artifact(straight))
