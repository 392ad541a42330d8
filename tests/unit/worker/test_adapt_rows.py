"""Rows as `adapt` is given them: any part of them is that part of the whole array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitfleet.errors import SpecError
from fitfleet.worker.models.adapt_rows import following, inputs, steps

X = np.arange(60).reshape(5, 4, 3)
Part = st.tuples(st.integers(0, 70), st.integers(0, 70)).map(lambda ends: slice(*sorted(ends)))


def read(rows: Any, part: slice) -> Any:
    return rows.read(part)


@given(Part)
def test_time_steps_are_rows(part: slice) -> None:
    (rows,) = inputs(X)
    seen = steps(rows)
    assert seen.count == 20
    np.testing.assert_array_equal(read(seen, part), X.reshape(20, 3)[part])


@given(Part)
def test_rows_of_several_calls_follow_each_other(part: slice) -> None:
    calls = inputs([X, X[:2] + 100, X + 200])
    seen = following(calls, "layer")
    whole = np.concatenate([X, X[:2] + 100, X + 200])
    assert seen.count == 12
    np.testing.assert_array_equal(read(seen, part), whole[part])


def test_calls_with_other_shapes_are_refused() -> None:
    with pytest.raises(SpecError, match=r"^adapt: 'n' is called with rows of \(4, 3\) and \(12,\)"):
        following(inputs([X, X.reshape(5, 12)]), "n")
