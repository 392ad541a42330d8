"""Waiting raises a priority between experiments, as far as the settings say; `why` counts alike."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from support.rows import insert, new_job, register

from fitfleet.db.fleet import capacity
from fitfleet.db.fleet.dispatch_capacity import capacity_now
from fitfleet.db.scheduling import dispatch
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.scheduler.dispatch import ageing
from fitfleet.scheduler.explain import explain
from fitfleet.settings import Settings


def _wait(database: Database, job_id: int, seconds: float) -> None:
    values = {"submitted_at": jobs.c.submitted_at - seconds}
    with database.begin() as c:
        c.execute(update(jobs).where(jobs.c.id == job_id).values(values))


def _order(database: Database, settings: Settings) -> list[int]:
    with database.read() as c:
        (load,) = capacity.loads(c, 60.0)
        room = capacity_now(c, load, 10)
        room.ageing = ageing(settings)
        return dispatch.order(c, "cpu", room)


@pytest.mark.parametrize(
    ("settings", "is_first"),
    [
        ({}, False),
        ({"ageing_s": 60.0}, True),
        ({"ageing_s": 100.0}, False),  # it has waited for 179 s: one priority more
        ({"ageing_s": 60.0, "ageing_max": 1}, False),
        ({"ageing_s": 60.0, "ageing_max": 0}, False),
    ],
)
def test_a_job_that_has_waited_goes_first(
    database: Database, settings: dict[str, float], is_first: bool
) -> None:
    register(database, 1)
    old, urgent, more = insert(
        database,
        new_job("old", experiment="old"),
        new_job("urgent", experiment="urgent", priority=2),
        new_job("more", experiment="more", priority=2),
    )
    _wait(database, old, 179.0)
    chosen = Settings(**settings)  # type: ignore[arg-type]
    wanted = [old, urgent, more] if is_first else [urgent, more, old]
    assert _order(database, chosen) == wanted
    for place, job_id in enumerate(wanted, 1):
        assert explain(database, chosen, job_id, ping=lambda: None).place == place


def test_within_an_experiment_the_priorities_are_those_given(database: Database) -> None:
    register(database, 1)
    old, urgent = insert(database, new_job("old"), new_job("urgent", priority=1))
    _wait(database, old, 1e6)
    assert _order(database, Settings(ageing_s=1.0)) == [urgent, old]


def test_a_clock_that_went_back_takes_nothing(database: Database) -> None:
    register(database, 1)
    first, second = insert(
        database, new_job("a", experiment="a"), new_job("b", experiment="b", priority=-1)
    )
    _wait(database, first, -1e6)
    assert _order(database, Settings(ageing_s=1.0, ageing_max=1_000_000)) == [first, second]
