"""What a scheduler and a worker ask costs the same with many waiting jobs as with few (SQLite).

Counted in instructions of SQLite's virtual machine, which no busy machine changes. PostgreSQL
chooses by its statistics; benchmarks/control_plane.py looks at both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.rows import commit, insert, new_job, register

from fitfleet.db.attempts import leases, metrics
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.fleet import capacity
from fitfleet.db.scheduling import dispatch, reservations
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.worker import cohort

_STEP = 10  # instructions between two counts
_COHORT = 8


class Counter:
    """Instructions of all connections of a database."""

    def __init__(self, database: Database) -> None:
        self._steps = 0
        self.by_name: dict[str, int] = {}
        sa.event.listen(database.engine, "connect", self._watch)

    def _watch(self, connection: Any, _record: Any) -> None:
        connection.set_progress_handler(self._count, _STEP)

    def _count(self) -> int:
        self._steps += 1
        return 0  # continue

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count what is done inside under this name."""
        before = self._steps
        yield
        self.by_name[name] = (self._steps - before) * _STEP


def _work(path: Path, jobs: int) -> dict[str, int]:
    """One job of every kind of work, with so many waiting; instructions by its name."""
    database = Database(f"sqlite:///{path}")
    counter = Counter(database)
    database.upgrade()
    register(database, 1)
    names = [f"e{i % 4}" for i in range(jobs)]
    insert(database, *(new_job(str(i), experiment=e, fuse_key=e) for i, e in enumerate(names)))
    with counter.of("look"), database.read() as c:
        capacity.loads(c, 60.0, only_waiting=True)
    with counter.of("dispatch"), database.begin() as c:
        (message, *_) = dispatch.dispatch(c, "cpu", 20)
    with counter.of("claim"), database.begin() as c:
        leader = leases.claim(c, *message, "host:1:0", 60.0)
    assert leader is not None
    settings = Settings(cohort_max=_COHORT, queue="cpu")
    with counter.of("cohort"):
        claims = [leader, *cohort.peers(database, settings, leader)]
    assert len(claims) == _COHORT
    with counter.of("begin"), database.begin() as c:
        assert len(reservations.begin(c, claims[1:], 60.0)) == _COHORT - 1
    with counter.of("describe"), database.begin() as c:
        assert (
            len(leases.describe_attempts(c, [(peer, {"engine": "loop"}) for peer in claims])) == 8
        )
    with counter.of("epoch"), database.begin() as c:
        assert metrics.record(c, [EpochMetrics(peer, 1, {"loss": 1.0}) for peer in claims])
    with counter.of("heartbeat"), database.begin() as c:
        assert leases.heartbeat(c, claims, 60.0)
    with counter.of("commit"), database.begin() as c:
        assert commit(c, leader, epoch=1, seconds=1.0)
    database.dispose()
    return counter.by_name


@pytest.mark.slow
def test_no_work_grows_with_the_jobs_that_wait(tmp_path: Path) -> None:
    few = _work(tmp_path / "few.db", 200)
    many = _work(tmp_path / "many.db", 4_000)
    grown = {
        name: (few[name], count) for name, count in many.items() if count > 1.5 * few[name] + 50
    }
    assert not grown
