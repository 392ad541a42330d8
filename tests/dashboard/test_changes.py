"""What a page has read before is brought up to date by what has changed, and by nothing else."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from example_rows import EPOCHS, fill, train
from page_client import Visitor
from sqlalchemy import event, insert, update
from support.rows import commit, new_job, register
from support.rows import insert as insert_jobs
from support.waiting import until

from fitfleet.client.fleet import Fleet
from fitfleet.dashboard.history import History
from fitfleet.dashboard.serve import Dashboard
from fitfleet.db.jobs import experiments, labels
from fitfleet.db.pages import ranking, table
from fitfleet.db.pages.changes import Changes, Watch
from fitfleet.db.pages.columns import PLAIN
from fitfleet.db.pages.table import JobQuery
from fitfleet.db.schema.tables import audit, events, jobs, workers
from fitfleet.db.session import Database


def _poll(database: Database, watch: Watch) -> Changes:
    """What it says of jobs: on a busy machine the workers of a test fall silent meanwhile."""
    with database.read() as c:
        return replace(watch.poll(c), is_fleet_changed=False)


def test_a_poll_names_the_jobs_that_something_happened_to(database: Database) -> None:
    filled = fill(database)
    watch, claim = Watch(), filled["running"]
    assert not _poll(database, watch) and not _poll(database, watch)
    train(database, claim, 3, 3)
    assert _poll(database, watch) == Changes({claim.job_id: 1})
    with database.begin() as c:
        labels.tag(c, 3, ["good"])
    assert _poll(database, watch) == Changes({3: 1})
    with database.begin() as c:
        experiments.pause(c, "digits")
    assert _poll(database, watch).is_everything
    (other,) = insert_jobs(database, new_job("o", experiment="other"))
    assert _poll(database, watch) == Changes({other: 2})
    with database.begin() as c:
        commit(c, claim, epoch=EPOCHS, seconds=1.0)
    assert _poll(database, watch) == Changes({claim.job_id: 1})
    assert not _poll(database, watch)


@pytest.mark.parametrize("kind", ["events", "audit"])
def test_a_row_that_is_committed_late_is_seen(database: Database, kind: str) -> None:
    """Its number was given out before that of a row which was seen already."""
    (job_id,) = insert_jobs(database, new_job("a"))
    watch = Watch()
    _poll(database, watch)
    of_event = {"at": 0.0, "kind": "x", "job_id": job_id}
    of_audit = {"at": 0.0, "user_name": "ana", "action": "note", "target": f"job {job_id}"}
    for number in (29, 22, 21, 28):
        row = (
            insert(events).values(of_event) if kind == "events" else insert(audit).values(of_audit)
        )
        with database.begin() as c:
            c.execute(row.values(id=number))
        assert _poll(database, watch) == Changes({job_id: 1}), number
        assert not _poll(database, watch)


def test_what_changed_since_is_known_or_said_not_to_be() -> None:
    history = History()
    history.forget()
    began = history.cursor
    history.add(Changes({1: 7, 2: 8}))
    assert (history.newest(7), history.newest(9), history.newest(None)) == (2, 1, 2)
    history.add(Changes(is_fleet_changed=True))
    assert (history.newest(7), history.newest(None)) == (2, 3)
    history.add(Changes({3: 7}))
    assert history.since(began, 7) == {1, 3} and history.since(history.newest(8), 7) == {3}
    assert history.since(0, 7) is None  # before all that is remembered
    history.forget()
    assert history.since(3, 7) is None and history.since(history.cursor, 7) == frozenset()


def _views() -> list[JobQuery]:
    names = [*PLAIN, "param.units", "param.optimizer", "metric.val_loss", "score.test_accuracy"]
    plain = [JobQuery(1, name, is_down) for name in names for is_down in (False, True)]
    return [
        *plain,
        JobQuery(1, "metric.loss", search="units=16"),
        JobQuery(1, "metric.loss", statuses=["RUNNING", "SUCCEEDED"]),
        JobQuery(1, "param.rate", statuses=["RUNNING", "QUEUED"]),
        JobQuery(1, "metric.loss", ranges={"metric.loss": (0.0, 1.5)}),
    ]


def _change(database: Database, chance: random.Random, ids: list[int]) -> set[int]:
    """A few jobs become others, and one is added; which."""
    changed = set(chance.sample(ids, 3))
    with database.begin() as c:
        for job_id in changed:
            values = {
                "epoch": chance.randrange(EPOCHS + 1),
                "status": chance.choice(["RUNNING", "SUCCEEDED", "QUEUED"]),
                "seconds": chance.choice([1.0, 2.0, chance.random()]),
                "priority": chance.randrange(3),
                "engine": chance.choice([None, "keras", "loop"]),
            }
            c.execute(update(jobs).where(jobs.c.id == job_id).values(values))
            labels.tag(c, job_id, [chance.choice(["a", "b"])])
    params = {"units": chance.choice([8, 99]), chance.choice(["rate", "new"]): 0.5}
    ids += insert_jobs(database, new_job(f"new-{len(ids)}", params=params))
    return {*changed, ids[-1]}


def test_an_order_brought_up_to_date_is_the_one_read_anew(database: Database) -> None:
    ids, chance = list(fill(database)["ids"]), random.Random(5)
    with database.read() as c:
        kept = {repr(view): ranking.read(c, view) for view in _views()}
        facets = table.facets(c, 1)
    is_read_anew = set()
    for _ in range(8):
        changed = frozenset(_change(database, chance, ids))
        with database.read() as c:
            facets = facets.joined(table.facets(c, 1, sorted(changed)))
            assert facets == table.facets(c, 1)
            for view in _views():
                new = ranking.update(c, view, kept[repr(view)], changed)
                is_read_anew |= {view.sort} if new is None else set()
                kept[repr(view)] = new or ranking.read(c, view)
                assert list(kept[repr(view)].ids) == table.page(c, view), view
    assert "metric.val_loss" not in is_read_anew and "seconds" not in is_read_anew


@contextmanager
def _counted(database: Database) -> Iterator[list[str]]:
    """The statements that are asked meanwhile."""
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def looking(page: Dashboard, fleet: Fleet) -> Dashboard:
    """As if pages were open and polls went on: `history` is told by the test."""
    page.board.live._listeners.add(asyncio.Queue())
    page.board.live._begin()
    return page


def test_many_pages_cost_the_database_what_one_does(
    looking: Dashboard, visitor: Visitor, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is read anew after a time is not what is counted.
    for name in ("pages.fleet._LOAD_S", "pages.job._WHY_S", "board._REREAD_S"):
        monkeypatch.setattr(f"fitfleet.dashboard.{name}", 1e9)
    claim = fill(fleet.database)["running"]
    paths = ["/part/table?name=digits", "/data/chosen?name=digits", "/part/fleet"]
    paths += [f"/data/curves?metric=loss&jobs={claim.job_id}:2", f"/part/job/{claim.job_id}"]
    for path in paths:
        visitor.get(path)
    counts = []
    for pages in (1, 20):
        train(fleet.database, claim, 2 + pages // 10 + 1, 2 + pages // 10 + 1)
        looking.board.live.history.add(Changes({claim.job_id: 1}))
        with _counted(fleet.database) as asked:
            answers = [visitor.get(path).text for _ in range(pages) for path in paths]
        counts.append(len(asked))
        assert not [text for text in asked if "ORDER BY (SELECT" in text]
    assert counts[0] > 10 and counts[1] == counts[0]
    assert f"{2 + 20 // 10 + 1}/{EPOCHS}" in answers[0]


def test_who_has_changed_something_sees_it_at_once(looking: Dashboard, visitor: Visitor) -> None:
    fill(looking.board.fleet.database)
    table_of_tags = "/part/table?name=digits&cols=tags"
    assert "golden" not in visitor.get(table_of_tags).text
    visitor.post("/do/tag", jobs="3", tags="golden")
    visitor.post("/do/limit", name="digits", most="7")
    shown = visitor.get(table_of_tags).text
    assert "golden" in shown and "at most 7" in shown


def test_heartbeats_are_no_change_but_shown(
    looking: Dashboard, visitor: Visitor, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fitfleet.dashboard.pages.fleet._LOAD_S", 0.0)
    register(fleet.database, 1)
    assert "83 %" not in visitor.get("/part/fleet").text
    with fleet.database.begin() as c:
        c.execute(update(workers).values(load='{"cpu_percent": 83.0}'))
    assert "83 %" in visitor.get("/part/fleet").text


def test_the_next_page_of_a_reader_is_made_of_what_the_last_one_has_read(
    page: Dashboard, visitor: Visitor, fleet: Fleet
) -> None:
    fill(fleet.database)
    path = "/experiment?name=digits"
    with closing(HTTPConnection(urlsplit(page.address).netloc, timeout=60)) as connection:
        connection.request("GET", "/events", headers={"Cookie": visitor.cookie})
        with connection.getresponse():
            until(lambda: page.board.live.is_looking)
            visitor.get(path)
    until(lambda: not page.board.live._listeners)
    time.sleep(1.0)  # more than the pause between two polls
    with _counted(fleet.database) as asked:
        assert visitor.get(path).status == 200
    assert not [text for text in asked if "DISTINCT" in text or "(SELECT metrics" in text]
