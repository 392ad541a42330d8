"""Slots have names that stay over restarts, unlike those of all live slots."""

from __future__ import annotations

from support.rows import insert, new_job

from fitfleet.db.attempts import leases
from fitfleet.db.fleet import workers
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.reading import lookup
from fitfleet.db.reading.attempts import attempts_of
from fitfleet.db.schema.tables import workers as table
from fitfleet.db.session import Database


def registered(database: Database, service: str, *labels: str, host: str = "vm") -> list[str]:
    """The names of a service's slots, one a label."""
    slots = [
        Slot(f"{service}:{i}", service, host, 1, i, "cpu", "cpu", label=label)
        for i, label in enumerate(labels)
    ]
    with database.begin() as c:
        workers.register(c, slots)
    with database.read() as c:
        names = {row["id"]: row["name"] for row in workers.live(c, 60.0)}
    return [names[slot.id] for slot in slots]


def test_names_are_free_numbers_and_stay(database: Database) -> None:
    assert registered(database, "a", "cpu", "cpu") == ["vm/cpu0", "vm/cpu1"]
    assert registered(database, "b", "cpu") == ["vm/cpu2"]
    assert registered(database, "c", "gpu1", "gpu0", "gpu1") == ["vm/gpu1", "vm/gpu0", "vm/gpu1.2"]
    assert registered(database, "d", "cpu", host="other") == ["other/cpu0"]
    with database.begin() as c:
        workers.end(c, "a")
    assert registered(database, "a2", "cpu", "cpu") == ["vm/cpu0", "vm/cpu1"]
    with database.begin() as c:  # one that was killed is silent
        c.execute(table.update().where(table.c.service == "b").values(heartbeat_at=0.0))
    assert registered(database, "b2", "cpu") == ["vm/cpu2"]


def test_who_drains_may_use_them(database: Database) -> None:
    registered(database, "a", "cpu", "cpu")
    registered(database, "b", "gpu0")
    registered(database, "c", "cpu", host="other")
    with database.begin() as c:
        assert workers.drain(c, "vm/cpu1") == ["a"]
        assert workers.drain(c, "vm") == ["a", "b"]


def test_a_running_job_says_where_by_name(database: Database) -> None:
    registered(database, "a", "cpu")
    (job_id,) = insert(database, new_job("x"))
    with database.begin() as c:
        from fitfleet.db.scheduling import dispatch

        ((_, sequence),) = dispatch.dispatch(c, "cpu", 1)
        assert leases.claim(c, job_id, sequence, "a:0", 60.0)
    with database.read() as c:
        row = lookup.job(c, job_id)
        assert row is not None and (row.owner, row.worker_name) == ("a:0", "vm/cpu0")
        assert attempts_of(c, job_id)[0]["worker_name"] == "vm/cpu0"
