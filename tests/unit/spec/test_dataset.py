"""One dataset has one form, whatever words it is given in."""

from __future__ import annotations

from typing import Any

import pytest

from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.identity import content_hash
from fitfleet.spec.submission import job_spec

FOLD = {"k": 2, "index": 0}
MODEL = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {"layers": [{"class_name": "Dense", "config": {"units": 1}}]},
}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"x": "x", "y": "y"}, {"x": "/x", "y": "y/"}),
        ({"x": ["a/b"], "y": {"o": "y"}}, {"x": ["//a//b/"], "y": {"o": "/y"}}),
        ({"groups": "g"}, {"groups": "/g"}),
        ({"fold": FOLD}, {"fold": {**FOLD, "kind": "kfold", "seed": 0}}),
        ({}, {"nan": "allow"}),
    ],
)
def test_two_ways_of_saying_one_dataset(left: dict[str, Any], right: dict[str, Any]) -> None:
    hashes = set()
    for given in (left, right):
        dataset = {"path": "d.h5", **given}
        spec = job_spec(Settings(), model=MODEL, dataset=dataset, loss="mse", optimizer="sgd")
        hashes.add(content_hash(spec, "0"))
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"fold": {**FOLD, "junk": [1]}}, "dataset.fold.junk: no such field"),
        ({"x_val": True}, "dataset.x_val: True is not the name of an array"),
        ({"path": "\udcff.csv"}, "is not Unicode text; rename"),
        ({"x": "\udcff"}, "is not Unicode text"),
        ({"x": 5}, "dataset.x: 5 is not the name of an array"),
    ],
)
def test_what_is_no_dataset_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        dataset_spec({"path": "d.h5", **given})


def test_slashes_are_part_of_names_that_are_no_paths() -> None:
    assert dataset_spec({"path": "d.csv", "x": "km/h", "y": "/y"}).y == "/y"
