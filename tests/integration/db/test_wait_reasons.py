"""What jobs wait for is said in a sentence: a queue without a worker, jobs that go first."""

from __future__ import annotations

from support.rows import insert, new_job, register, take

from fitfleet.client.wait_reasons import going_first, unserved, without_worker
from fitfleet.db.reading.progress import counts
from fitfleet.db.session import Database
from fitfleet.settings import Settings


def test_a_queue_that_no_worker_serves_is_named(database: Database) -> None:
    with database.read() as c:
        assert unserved(c, ["gppu"], 60.0) == []  # no worker at all yet
        (line,) = without_worker(c, ["cpu", "gppu"], Settings(), starting="cpu").values()
        told = without_worker(c, ["cpu", "gppu"], Settings())
    register(database, 1)
    with database.read() as c:
        assert unserved(c, ["cpu"], 60.0) == []
        assert unserved(c, ["cpu", "gppu"], 60.0) == [line]
        assert without_worker(c, ["cpu", "gppu"], Settings()) == {"gppu": line}
    assert "no worker serves the queue 'gppu'; there are workers for cpu" in line
    nobody = "no worker is running yet; unless one is starting: fitfleet worker"
    assert told == {"cpu": nobody, "gppu": f"{nobody} --queue gppu"}


def test_jobs_that_go_first_are_counted_and_named(database: Database) -> None:
    register(database, 1)
    older = insert(database, new_job("a", experiment="old"), new_job("b", experiment="old"))
    take(database)
    ids = insert(database, new_job("c", experiment="old"))
    with database.read() as c:
        (line,) = going_first(c, counts(c, ids), ids, 60.0)
        assert going_first(c, counts(c, older), older, 60.0) == []
    assert line == f"2 other jobs run first; cancel with: fitfleet cancel {older[0]} {older[1]}"
    other = insert(database, new_job("d"))  # its experiment's turn is next
    with database.read() as c:
        (line,) = going_first(c, counts(c, other), other, 60.0)
    assert line == "1 other job runs first; cancel with: fitfleet cancel -e old"
