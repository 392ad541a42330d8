"""Messages that the broker loses or delivers twice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
import redis
from sqlalchemy import select
from support.fits import assert_equal, outcomes, small_job, stop, until_checkpoint, wake
from support.processes import fitting_children
from support.waiting import until

import fitfleet as ff
from fitfleet.db.accounts.keys import message_key
from fitfleet.db.schema.tables import jobs
from fitfleet.embedded.fleet import LocalFleet
from fitfleet.queue import celery_app, publish, waiting


def test_a_flushed_broker_loses_no_job(fleet: LocalFleet, series: Path, straight: ff.Job) -> None:
    services = [psutil.Process(pid) for pid in fleet.worker_pids]
    for service in services:
        stop(service, fleet.database)
    try:
        # Two messages lie in the sockets of the stopped services, the others in the broker.
        seeds = [7, 8, 9, 10, 11, 12]
        handles = fleet.submit_many(
            small_job(series, seed=seed, experiment="flushed") for seed in seeds
        )
        until(lambda: [job.status for job in handles].count(ff.JobStatus.DISPATCHED) >= 3)
        path = urlsplit(fleet.settings.broker_url).path
        with redis.Redis(unix_socket_path=path) as client:
            until(lambda: int(client.llen(fleet.settings.queue)) >= 1)
            client.flushall()
    finally:
        for service in services:
            wake(service)
    fleet.wait(handles, timeout_s=120, raise_on_failure=True)
    assert [outcomes(job) for job in handles] == [["succeeded"]] * len(handles)
    assert_equal(handles[0], straight)


def test_a_message_that_comes_three_times(
    fleet: LocalFleet, series: Path, straight: ff.Job
) -> None:
    job = fleet.submit(**small_job(series), experiment="doubled")
    until_checkpoint(job)
    with fleet.database.read() as c:
        number = c.execute(select(jobs.c.dispatch_seq).where(jobs.c.id == job.id)).scalar_one()
        key = message_key(c, fleet.settings)
    app = celery_app(fleet.settings)
    publish(app, fleet.settings.queue, [(job.id, number)] * 2, key)  # the other worker takes these
    job.wait(120)
    publish(app, fleet.settings.queue, [(job.id, number), (job.id, number - 1)], key)
    # One worker after the other takes them before these jobs.
    fleet.wait(
        fleet.submit_many(
            small_job(series, seed=seed, epochs=1, experiment="behind") for seed in range(4)
        ),
        timeout_s=60,
    )
    assert outcomes(job) == ["succeeded"]
    assert_equal(job, straight)


@pytest.mark.filterwarnings("ignore:the broker .* does not answer")  # if submit is quicker
def test_an_embedded_broker_that_dies_is_started_again(
    fleet: LocalFleet, series: Path, straight: ff.Job
) -> None:
    job = fleet.submit(**small_job(series), experiment="broker-died")
    until_checkpoint(job)
    pid_file = Path(fleet.settings.logs).parent / "broker" / "valkey.pid"
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    other = fleet.submit(**small_job(series, epochs=1, seed=8), experiment="broker-died")
    fleet.wait([job, other], timeout_s=60, raise_on_failure=True)
    assert outcomes(job) == outcomes(other) == ["succeeded"]
    assert_equal(job, straight)


@pytest.mark.slow
def test_a_message_waits_in_the_broker_for_a_child_that_only_starts(
    fleet: LocalFleet, series: Path
) -> None:
    starting = []
    for service in [psutil.Process(pid) for pid in fleet.worker_pids]:
        until(lambda service=service: len(fitting_children(service)) == 1)
        (old,) = fitting_children(service)
        old.kill()
        until(lambda service=service, old=old: fitting_children(service) not in ([], [old]))
        (child,) = fitting_children(service)
        child.suspend()
        starting.append(child)
    try:
        job = fleet.submit(**small_job(series, epochs=1, seed=9), experiment="cold")
        # One that was taken for the dead child is published again; then it is left where it is.
        until(lambda: _is_left_waiting(fleet, job))
    finally:
        for child in starting:
            child.resume()
    job.wait(120)
    assert outcomes(job) == ["succeeded"]


def _is_left_waiting(fleet: LocalFleet, job: ff.Job) -> bool:
    """Whether the job's one message stays in the broker for several times `redispatch_s`."""
    before = _dispatches(fleet, job)
    time.sleep(4 * fleet.settings.redispatch_s)
    left = waiting(celery_app(fleet.settings), fleet.settings.queue)
    return left == 1 and _dispatches(fleet, job) == before


def _dispatches(fleet: LocalFleet, job: ff.Job) -> int:
    with fleet.database.read() as c:
        dispatches = c.execute(select(jobs.c.dispatch_seq).where(jobs.c.id == job.id)).scalar_one()
    return int(dispatches)
