"""A dataset that is a function of the user's: called on the worker, once, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import own_data
import pytest
from fleets import DrainAfter, Fleet, assert_same_file
from support.parts import quick

import fitfleet as ff
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.errors import DatasetError, SpecError
from fitfleet.states import JobStatus

HERE = str(Path(__file__).parent)
L = ff.layers
FIT = {
    "model": ff.Sequential([L.Input((3,)), L.Dense(4), L.Dense(1)]),
    **{"loss": "mse", "optimizer": "adam", "batch_size": 8, "epochs": 2, "seed": 1},
}
TRUSTING = {"trusted_modules": ("own_data",), "module_path": (HERE,)}


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(sqlite_url, tmp_path, **TRUSTING, memory_bytes=1_000_000) as fleet:
        yield fleet


def curve(fleet: Fleet, row: JobRow) -> list[Any]:
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    return fleet.curve(row.id)


@pytest.mark.parametrize(
    "name", quick(["arrays", "batches", "dataset", "slices"], "batches", "dataset")
)
def test_its_rows_are_those_of_the_arrays(name: str, fleet: Fleet, tmp_path: Path) -> None:
    x, y = own_data.arrays()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    expected = fleet.run(**FIT, dataset=str(tmp_path / "data.npz"), experiment="file")
    row = fleet.run(**FIT, dataset=f"own_data:{name}")
    assert curve(fleet, row) == curve(fleet, expected)


def test_arguments_folds_and_validation_are_the_jobs(fleet: Fleet, tmp_path: Path) -> None:
    x, y = own_data.arrays(32)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    fold = {"kind": "kfold", "k": 4, "index": 1}
    function = {"function": "own_data:arrays", "arguments": {"rows": 32}, "fold": fold}
    path = {"path": str(tmp_path / "data.npz"), "fold": fold}
    rows = [fleet.run(**FIT, dataset=dataset) for dataset in (function, path)]
    assert curve(fleet, rows[0]) == curve(fleet, rows[1])
    assert {phase for _, phase, *_ in curve(fleet, rows[0])} == {"train", "val"}
    row = fleet.run(**FIT, dataset=own_data.parts)
    assert {phase for _, phase, *_ in curve(fleet, row)} == {"train", "val"}


def test_its_rows_are_checked_as_those_of_a_file_are(fleet: Fleet) -> None:
    """Batches of such labels would be trained on, though Keras refuses arrays of them."""
    model = ff.Sequential([L.Input((4, 3)), L.Dense(3, activation="softmax")])
    changes = {"model": model, "loss": "categorical_crossentropy"}
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    row = fleet.run(**{**FIT, **changes}, dataset="own_data:steps", class_weight=weights)
    assert row.status is JobStatus.FAILED
    assert "for labels of several steps give sample weights" in str(row.failure_message)


def test_it_is_called_once_for_all_jobs_and_attempts(fleet: Fleet) -> None:
    drawn = {**FIT, "dataset": "own_data:drawn", "epochs": 3}
    first = fleet.run(**drawn)
    torn = fleet.submit(**drawn, experiment="torn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    fleet.attempt()
    assert curve(fleet, fleet.row(torn)) == curve(fleet, first)
    assert "reading the rows" in fleet.log(first.id)
    assert "reading the rows" not in fleet.log(torn)


def test_jobs_of_one_function_are_a_cohort_whose_numbers_each_has_alone(fleet: Fleet) -> None:
    job = {**FIT, "dataset": "own_data:drawn", "fuse": False}
    together = [
        fleet.submit(**{**job, "seed": seed, "experiment": "together"}) for seed in range(3)
    ]
    fleet.attempt()
    logs = [fleet.log(number) for number in together]
    assert ["reading the rows" in log for log in logs] == [True, False, False]
    for seed, number in enumerate(together):
        alone = fleet.run(**{**job, "seed": seed, "experiment": "alone"})
        assert curve(fleet, fleet.row(number)) == curve(fleet, alone)
        assert_same_file(fleet.artifact(fleet.row(number)), fleet.artifact(alone))
    other = fleet.submit(**{**FIT, "dataset": {"function": "own_data:arrays"}})
    more = {"function": "own_data:arrays", "arguments": {"rows": 16}}
    fleet.submit(**{**FIT, "dataset": more})
    fleet.attempt()
    with fleet.database.read() as c:
        left = lookup.find_jobs(c, statuses=[JobStatus.QUEUED])
    assert [row.id for row in left] == [other + 1], "other arguments are other data"


def test_a_job_does_not_resume_with_other_rows(fleet: Fleet) -> None:
    job = fleet.submit(**{**FIT, "epochs": 3}, dataset="own_data:drawn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    for path in (Path(fleet.settings.storage) / "datasets").iterdir():
        path.unlink()
    fleet.attempt()
    row = fleet.row(job)
    assert row.status is JobStatus.FAILED
    assert "the rows are not those that the job was trained on before" in str(row.failure_message)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("endless", "and not ended, above the setting memory_bytes=1,000,000; end it"),
        ("broken", "dataset: own_data:broken raised KeyError: 'no such file'"),
        ("nothing", "own_data:nothing: dataset: the NoneType does not say what is x"),
        ("missing", "own_data has no function 'missing'"),
    ],
)
def test_what_gives_no_rows_is_reported_in_one_sentence(name: str, says: str, fleet: Fleet) -> None:
    row = fleet.run(**FIT, dataset=f"own_data:{name}")
    assert (row.status, row.failure_class) == (JobStatus.FAILED, "user")
    assert says in str(row.failure_message)


def test_only_trusted_functions_are_called(sqlite_url: str, tmp_path: Path, fleet: Fleet) -> None:
    with (
        Fleet(sqlite_url, tmp_path) as other,
        pytest.raises(SpecError, match=r"^dataset: own_data:arrays is run only if"),
    ):
        other.submit(**FIT, dataset="own_data:arrays")
    for dataset, says in (
        ({"function": "own_data:arrays", "x": "x"}, r"dataset\.x: cannot be used with a function"),
        ({"function": "own data"}, r"'own data' is not of the form module:name"),
        (lambda: None, "a lambda has no name"),
    ):
        with pytest.raises((DatasetError, SpecError), match=says):
            fleet.submit(**FIT, dataset=dataset)
