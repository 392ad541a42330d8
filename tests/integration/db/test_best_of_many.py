"""The best jobs of an experiment are chosen with one look at each job's value."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from support.rows import commit, insert_many, take

from fitfleet.db.reading import best_jobs
from fitfleet.db.session import Database
from fitfleet.states import JobStatus


def test_a_value_is_looked_up_once_and_those_without_come_last(database: Database) -> None:
    insert_many(database, 4)
    for claim, score in zip(take(database, 4), [0.3, None, 0.1, 0.2], strict=True):
        scores = {} if score is None else {"evaluator": {"f1": score}}
        with database.begin() as c:
            assert commit(c, claim, epoch=5, seconds=1.0, scores=scores)
    asked: list[tuple[str, Any]] = []

    def ask(_c: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        asked.append((statement, given))

    sa.event.listen(database.engine, "before_cursor_execute", ask)
    given = ("digits", [JobStatus.SUCCEEDED], "f1")
    with database.read() as c:
        low = best_jobs.best_jobs(c, *given, "minimize", "last", 10)
        statement = asked[-1]
        high = best_jobs.best_jobs(c, *given, "maximize", "last", 10)
        sa.event.remove(database.engine, "before_cursor_execute", ask)
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        plan = [str(row[-1]) for row in c.exec_driver_sql(explain + statement[0], statement[1])]
    assert low == [(3, 0.1), (4, 0.2), (1, 0.3), (2, None)]
    assert high == [(1, 0.3), (4, 0.2), (3, 0.1), (2, None)]
    looks = [line for line in plan if "scores" in line and ("SEARCH" in line or "Scan" in line)]
    assert len(looks) == 1, plan
