"""While the database is away work is tried again, until it succeeds or has no use any more."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fitfleet.db import outages
from fitfleet.db.outages import Tolerance, outlast
from fitfleet.errors import DatabaseError


class Away:
    """Work that finds the database away so often."""

    def __init__(self, times: int) -> None:
        self.left, self.outages = times, 0

    def __call__(self) -> str:
        self.left -= 1
        if self.left >= 0:
            raise DatabaseError("away")
        return "written"

    def count(self) -> None:
        self.outages += 1


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "OUTAGE_POLL_S", 0.0)


def test_work_is_tried_until_the_database_answers() -> None:
    work = Away(3)
    assert outlast(work, until=lambda: False, on_outage=work.count) == "written"
    assert work.outages == 3


def test_work_is_tried_once_even_if_nobody_waits_for_it() -> None:
    assert outlast(Away(0), until=lambda: True) == "written"
    assert outlast(Away(1), until=lambda: True) is None


def test_another_error_is_not_waited_out() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        outlast(broken, until=lambda: False)


def test_an_outage_is_tolerated_for_its_limit_after_the_last_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(outages, "time", SimpleNamespace(monotonic=lambda: clock.now))
    tolerance = Tolerance(20.0)
    clock.now += 30.0
    with tolerance:
        pass  # it answers
    clock.now += 20.0
    with tolerance:
        raise DatabaseError("away")
    clock.now += 0.1
    with pytest.raises(DatabaseError), tolerance:
        raise DatabaseError("away")
    with pytest.raises(ValueError, match="other"), Tolerance(9.0):
        raise ValueError("other")
