"""What is named does not change what is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitfleet.data.arrays import load
from fitfleet.data.description.description import describe
from fitfleet.data.description.roles import resolve
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

ROLES = ("x", "y", "x_val", "y_val", "x_test", "y_test", "sample_weight", "sample_weight_val")
NAMES = [*ROLES, "xa", "xb", "ya"]


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"x": "x"},
        {"x": ["x"]},
        {"x": ["xa", "xb"]},
        {"x": {"left": "xa", "right": "xb"}},
        {"y": "ya"},
        {"y": ["y", "ya"]},
        {"x": "xa", "y": "ya"},
        {"x_val": "x_val"},
        {"y_val": "y_val"},
        {"sample_weight": "sample_weight"},
        {"x_test": "x_test"},
    ],
)
def test_a_role_that_is_named_drops_no_other(named: dict[str, Any]) -> None:
    resolved = resolve(DatasetSpec(path="a.h5", **named), NAMES)
    for role in ("x_val", "y_val", "x_test", "y_test", "sample_weight", "sample_weight_val"):
        assert getattr(resolved, role) == (
            ["x_val"]
            if named.get("x") == ["x"] and role == "x_val"
            else ["x_test"]
            if named.get("x") == ["x"] and role == "x_test"
            else role
        )
    assert resolve(resolved, NAMES) == resolved


def test_validation_is_named_as_training_is() -> None:
    names = ["a_train", "b", "a_val", "b_val", "y", "y_val", "x_val"]
    resolved = resolve(DatasetSpec(path="a.h5", x={"i": "a_train", "j": "b"}), names)
    assert resolved.x_val == {"i": "a_val", "j": "b_val"} and resolved.y_val == "y_val"


def test_false_says_that_there_is_none(folder: Path, settings: Settings) -> None:
    x, y = np.zeros((4, 2)), np.zeros(4)
    np.savez(folder / "a.npz", x=x, y=y, x_val=x[:2], y_val=y[:2], sample_weight=y)
    spec = DatasetSpec(path="a.npz", sample_weight=False, x_val=False)
    info = describe(spec, settings)
    assert info is not None and info.x_val is None and info.sample_weight is None
    stored = DatasetSpec.model_validate_json(info.dataset.model_dump_json())
    arrays = load(stored, settings)
    assert arrays.sample_weight is None and arrays.x_val is None and arrays.y_val is None


def test_false_of_what_is_not_there_says_nothing() -> None:
    plain = resolve(DatasetSpec(path="a.h5"), ["x", "y"])
    assert resolve(DatasetSpec(path="a.h5", x_val=False, sample_weight=False), ["x", "y"]) == plain
    assert resolve(DatasetSpec(path="a.h5", x_val=False), ["x", "y", "x_val"]).x_val is False


def test_an_array_that_is_x_already_is_no_validation() -> None:
    spec = DatasetSpec(path="a.h5", x="x_val", y="y_val")
    resolved = resolve(spec, ["x_val", "y_val"])
    assert resolved.x_val is None and resolved.y_val is None


def test_a_fold_gives_the_validation_rows() -> None:
    spec = DatasetSpec(path="a.h5", x=["xa", "xb"], fold={"k": 2, "index": 0})
    resolved = resolve(spec, NAMES)
    assert (
        resolved.x_val is None
        and resolved.y_val is None
        and resolved.sample_weight == "sample_weight"
    )


PARTS = ("x_val", "y_val", "sample_weight_val", "x_test", "y_test")
OF = {
    "x": (6, 4, 3),
    "y": (6, 1),
    "x_val": (2, 5, 3),  # of other lengths, which may be
    "y_val": (2,),
    "sample_weight_val": (2,),
    "x_test": (3, 4, 3),
    "y_test": (3, 1),
    "flat": (6, 5),
    "series": (6, 9, 3),
    "counts": (6,),
    "classes": (6, 7),
}


@pytest.mark.parametrize(
    ("named", "left_out"),
    [
        ({}, ()),
        ({"x": "series"}, ()),
        ({"x": "series", "y": "counts"}, ()),
        ({"x": "flat"}, PARTS),
        ({"x": ["x", "flat"]}, PARTS),
        ({"y": "classes"}, PARTS),
        ({"x": "flat", "x_val": "flat", "y_val": "y"}, ("x_test", "y_test")),
    ],
)
def test_validation_unlike_the_named_x_is_left_out_with_a_sentence(
    folder: Path, settings: Settings, named: dict[str, Any], left_out: tuple[str, ...]
) -> None:
    """It could only make the fit fail; what comes out of the database is described as it went."""
    np.savez(folder / "a.npz", **{name: np.zeros(shape) for name, shape in OF.items()})
    dataset = DatasetSpec(path="a.npz", **named, nan="allow")
    if "x_val" in named:
        dataset = dataset.model_copy(update={"sample_weight_val": False})
    info = describe(dataset, settings)
    assert info is not None
    for role in PARTS:
        is_there = role not in left_out and getattr(dataset, role) is not False
        assert (getattr(info, role) is not None) == is_there, role
    lines = [line for line in info.warnings if "is left out" in line]
    assert len(lines) == len({role[-3:] for role in left_out})
    stored = DatasetSpec.model_validate_json(info.dataset.model_dump_json())
    again = describe(stored, settings)
    assert again is not None and again.dataset == stored and not again.warnings
    arrays = load(stored, settings)
    assert (arrays.x_val is None) == ("x_val" in left_out)


def test_the_sentence_names_the_array_and_the_way_out(folder: Path, settings: Settings) -> None:
    np.savez(folder / "a.npz", **{name: np.zeros(shape) for name, shape in OF.items()})
    info = describe(DatasetSpec(path="a.npz", x="flat"), settings)
    assert info is not None
    assert info.warnings[0] == (
        "dataset.x_val: the file's 'x_val' is left out, as its rows are unlike those of x='flat';"
        " name the validation arrays, or say x_val=False"
    )
