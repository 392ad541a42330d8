from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitfleet.errors import SpecError
from fitfleet.worker.logs import flat, numbers


def test_a_value_of_several_numbers_has_a_name_for_each() -> None:
    logs = {"loss": np.float32(0.5), "compiled": {"f1": np.array([0.25, 0.75], "float32")}}
    assert numbers(logs) == {"loss": 0.5, "f1.0": 0.25, "f1.1": 0.75}
    assert flat(logs)["f1"].tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("loss", np.zeros(8), "'loss' as a value of shape (8,)"),
        ("val_loss", np.zeros(8), "'val_loss' as a value of shape (8,)"),
        ("f1", np.zeros(101), "at most 100 in a row"),
        ("f1", np.zeros((2, 2)), "of shape (2, 2)"),
        ("text", "a", "'text' as 'a', which is no number"),
    ],
)
def test_what_is_no_number_is_refused(name: str, value: Any, says: str) -> None:
    with pytest.raises(SpecError, match="model") as error:
        flat({name: value})
    assert says in str(error.value)
