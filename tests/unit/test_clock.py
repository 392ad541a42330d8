"""A database clock that is set forward must not look like workers that died."""

from __future__ import annotations

import pytest

from fitfleet.scheduler.service import _Clock


def test_a_clock_that_is_set_forward_is_distinguished_from_one_that_runs() -> None:
    clock = _Clock()
    assert clock.skipped_s(1000.0) == 0.0  # nothing to compare with
    assert clock.skipped_s(1000.0) == pytest.approx(0.0, abs=1.0)
    assert clock.skipped_s(1300.0) == pytest.approx(300.0, abs=1.0)
    assert clock.skipped_s(1300.0) == pytest.approx(0.0, abs=1.0)
