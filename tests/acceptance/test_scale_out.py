"""Several worker services on PostgreSQL and Valkey: labels, workers that join, urgent jobs."""

from __future__ import annotations

import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.services import Services
from support.waiting import until

import fitfleet as ff
from fitfleet.db.session import Database
from fitfleet.settings import Settings

COHORT = 48
SUCCEEDED = ff.JobStatus.SUCCEEDED


@pytest.fixture
def services(tmp_path: Path, valkey_url: str, postgres_url: str) -> Iterator[Services]:
    """A scheduler, as yet without workers."""
    settings = Settings(
        database_url=postgres_url,
        broker_url=valkey_url,
        storage=str(tmp_path / "storage"),
        logs=str(tmp_path / "logs"),
        cache=str(tmp_path / "cache"),
        programs=str(tmp_path / "programs"),
        heartbeat_s=0.5,
        window=1,
        threads=1,
    )
    services = Services(tmp_path, settings)
    services.start("scheduler")
    yield services
    services.close()


def _rows(database: Database) -> list[Any]:
    with database.read() as c:
        text = "SELECT job_id, status, worker, attempts, started_at FROM runs ORDER BY started_at"
        return list(c.execute(sa.text(text)))


def _run(services: Services, jobs: list[ff.Job], timeout_s: float = 300.0) -> None:
    try:
        services.fleet.wait(jobs, timeout_s=timeout_s, raise_on_failure=True)
    except ff.FitfleetError as error:
        pytest.fail(f"{error}\n{services.logs()}")


@pytest.mark.slow
def test_labelled_jobs_run_where_they_fit_in_the_order_that_was_said(
    services: Services, job: dict[str, Any]
) -> None:
    for zone in ("a", "b"):
        services.start("worker", "--label", f"zone={zone}")
    services.until_slots(2)
    fleet = services.fleet
    # No slot is free, so that all others wait and can be asked.
    long = {**job, "epochs": 100_000}
    longs = [
        fleet.submit(**{**long, "seed": seed}, requires={"zone": "ab"[seed]}) for seed in (0, 1)
    ]
    until(lambda: all(j.refresh().status is ff.JobStatus.RUNNING for j in longs), timeout_s=120)
    with pytest.warns(UserWarning, match="needs zone=c, which no worker of queue 'cpu' has"):
        unfit = fleet.submit(**{**job, "seed": 99}, requires={"zone": "c"})
    jobs = [
        fleet.submit(
            **{**job, "epochs": 1, "seed": i, "experiment": "asked"},
            requires={"zone": "ab"[i % 2]},
            priority=5 * (i == 8),
            fuse=False,
        )
        for i in range(10)
    ]
    said = {job.id: job.why() for job in jobs}
    zone_of = {job.id: "ab"[i % 2] for i, job in enumerate(jobs)}
    assert all(why.is_held and "with zone=" in str(why) for why in said.values())
    for handle in longs:
        handle.cancel()
    _run(services, jobs)
    started = defaultdict(list)
    for row in _rows(fleet.database):
        if row.job_id in said:
            started[row.worker].append(row.job_id)
    assert len(started) == 2, "each worker ran some"
    for ids in started.values():
        assert len({zone_of[job_id] for job_id in ids}) == 1, "a slot ran what does not fit it"
        assert all((said[a].place or 0) < (said[b].place or 0) for a, b in pairwise(ids)), (
            ids,
            {job_id: why.place for job_id, why in said.items()},
        )
    assert "there are memory=" in str(unfit.why()) and "zone=a, zone=b" in str(unfit.why())
    assert unfit.refresh().status is ff.JobStatus.QUEUED
    services.start("worker", "--label", "zone=c", "--label", "memory=1GB")
    _run(services, [unfit])


@pytest.mark.slow
def test_workers_that_join_share_a_cohort_and_an_urgent_job_starts_soon(
    services: Services, job: dict[str, Any]
) -> None:
    services.start("worker")
    services.until_slots(1)
    fleet = services.fleet
    fit = {**job, "epochs": 25, "fuse": False, "experiment": "cohort"}
    cohort = fleet.submit_many({**fit, "seed": seed} for seed in range(COHORT))
    until(lambda: _count(fleet.database, SUCCEEDED) >= 2, timeout_s=120)
    held = [row.worker for row in _rows(fleet.database) if row.status != "SUCCEEDED"]
    assert len(held) >= COHORT - 10, "one worker still has nearly all of them"
    for _ in range(2):
        services.start("worker")
    services.until_slots(3)
    until(lambda: len(_workers(fleet.database)) == 3, timeout_s=120)
    urgent = fleet.submit(**{**job, "batch_size": 16, "epochs": 1}, priority=100)
    at = time.monotonic()
    until(lambda: urgent.refresh().row.started_at is not None)
    waited_s = time.monotonic() - at
    left = COHORT - _count(fleet.database, SUCCEEDED)
    _run(services, [*cohort, urgent])
    rows = _rows(fleet.database)
    assert [row.attempts for row in rows] == [1] * (COHORT + 1), "each was begun once"
    shares = Counter(row.worker for row in rows)
    assert len(shares) == 3 and min(shares.values()) >= 4, shares
    assert left >= 3, f"it went ahead of others; it waited {waited_s:.1f} s"


@pytest.mark.slow
def test_a_worker_without_jobs_ends_and_one_with_a_job_does_not(
    services: Services, job: dict[str, Any]
) -> None:
    process = services.process(services.start("worker", "--exit-when-idle", "4s"))
    services.until_slots(1)
    long = services.fleet.submit(**{**job, "epochs": 100_000})
    until(lambda: long.refresh().status is ff.JobStatus.RUNNING)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(8)
    long.cancel()
    assert process.wait(60) == 0
    assert long.refresh().status is ff.JobStatus.CANCELLED
    assert "no job for 4 s" in services.logs()
    process = services.process(services.start("worker", "--exit-when-idle", "soon"))
    assert process.wait(60) == 2
    assert "--exit-when-idle: 'soon' is not a duration" in services.logs()


def _count(database: Database, status: ff.JobStatus) -> int:
    return sum(row.status == status.value for row in _rows(database))


def _workers(database: Database) -> set[str]:
    return {row.worker for row in _rows(database) if row.worker}
