"""`evaluate` takes its data as Keras's does, and says what else it does not take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitfleet.client.tasks import to_evaluate
from fitfleet.errors import FitfleetError

X, Y, WEIGHT = np.zeros((3, 2)), np.zeros(3), np.ones(3)


@pytest.mark.parametrize(
    ("given", "dataset"),
    [
        ({"x": X, "y": Y}, (X, Y)),
        ({"x": X, "y": Y, "sample_weight": WEIGHT}, (X, Y, WEIGHT)),
        ({"x": (X, Y)}, (X, Y)),
        ({"x": "other.h5"}, "other.h5"),
    ],
)
def test_it_takes_what_keras_takes(given: dict[str, Any], dataset: Any) -> None:
    whole = {"y": None, "sample_weight": None, **given}
    evaluated = to_evaluate(**whole, keras_arguments={"verbose": 0, "return_dict": True})
    assert evaluated is dataset or all(
        one is other for one, other in zip(evaluated, dataset, strict=True)
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"return_dict": False}, "return_dict: no such argument here: the result is a dict"),
        ({"steps": 3}, "steps: no such argument here: all rows are taken"),
        ({"colour": 3}, "colour: no such argument here"),
    ],
)
def test_another_argument_is_refused_with_a_sentence(given: dict[str, Any], words: str) -> None:
    with pytest.raises(FitfleetError) as refused:
        to_evaluate(X, Y, None, given)
    assert str(refused.value).startswith(words)


def test_labels_do_not_go_with_a_file() -> None:
    with pytest.raises(FitfleetError, match="y: goes with arrays; the str has its own"):
        to_evaluate("other.h5", Y, None, {})
