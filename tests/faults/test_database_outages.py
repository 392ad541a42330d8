"""PostgreSQL restarted, away and cut in the middle of transactions, while real fits run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from support.fits import assert_equal, outcomes, until_checkpoint
from support.waiting import until
from whole_fleet import WholeFleet, paused_job

import fitfleet as ff
from fitfleet.db.accounts.keys import message_key
from fitfleet.queue import celery_app, publish, waiting

AWAY_S = 8.0  # more than two leases


@pytest.mark.slow
def test_fits_continue_while_the_database_is_away(
    whole: WholeFleet, series: Path, straight_paused: ff.Job
) -> None:
    whole.pace(0.05)
    job = whole.client.submit(**paused_job(series), experiment="away")
    until_checkpoint(job, 2)
    whole.postgres.stop()
    whole.postgres.start()
    until_checkpoint(job, 5)
    # This one will have to be committed while the database is away.
    short = whole.client.submit(**paused_job(series, epochs=8), experiment="short")
    until_checkpoint(short, 3)
    whole.postgres.stop(signal.SIGQUIT)
    before = whole.log(job).count("Epoch")
    time.sleep(AWAY_S)
    assert whole.log(job).count("Epoch") - before > 8
    assert "Epoch 8/8" in whole.log(short)
    whole.postgres.start()
    whole.pace(0.0)
    whole.client.wait([job, short], timeout_s=120)
    assert outcomes(job) == outcomes(short) == ["succeeded"]
    assert_equal(job, straight_paused)
    assert short.history.equals(straight_paused.history[:8])


CUTS = ("dispatched", "queued", "running", "metrics", "checkpoint", "heartbeat", "succeeded")

TRIGGER = """
CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    what text := CASE
        WHEN NEW.status <> OLD.status THEN lower(NEW.status)
        WHEN NEW.checkpoint_epoch IS DISTINCT FROM OLD.checkpoint_epoch THEN 'checkpoint'
        WHEN NEW.epoch <> OLD.epoch THEN 'metrics'
        WHEN NEW.lease_until <> OLD.lease_until THEN 'heartbeat'
    END;
BEGIN
    -- A sequence remembers, though the transaction will not have been.
    IF what IS NOT NULL AND nextval('cut_' || TG_ARGV[0] || what) = 1 THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER cut_inside BEFORE UPDATE ON jobs
    FOR EACH ROW EXECUTE FUNCTION cut('inside_');
CREATE CONSTRAINT TRIGGER cut_at_commit AFTER UPDATE ON jobs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut('commit_');
"""


@contextmanager
def cuts(whole: WholeFleet) -> Iterator[psycopg.Connection]:
    """Every kind of transaction has its connection cut once inside, and once while it commits."""
    url = whole.settings.database_url
    names = [f"cut_{where}_{what}" for where in ("inside", "commit") for what in CUTS]
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE SEQUENCE {name}")
        connection.execute(TRIGGER)
        try:
            yield connection
        finally:
            connection.execute("DROP FUNCTION cut CASCADE")
            for name in names:
                connection.execute(f"DROP SEQUENCE {name}")


@pytest.mark.slow
def test_connections_cut_in_every_transaction(
    whole: WholeFleet, series: Path, straight_paused: ff.Job
) -> None:
    whole.pace(0.01)
    with cuts(whole) as connection:
        job = whole.client.submit(**paused_job(series), experiment="cut")
        until_checkpoint(job)
        whole.client.pause("cut")  # back to the queue once more, which the cuts before may not need
        until(lambda: job.refresh().status is ff.JobStatus.QUEUED)
        whole.client.resume("cut")
        job.wait(90)
        for where in ("inside", "commit"):
            for what in CUTS:
                name = f"cut_{where}_{what}"
                last_value = connection.execute(f"SELECT last_value FROM {name}").fetchone()
                assert last_value is not None and last_value[0] > 1, (
                    f"{name}: not cut and done again"
                )
    until(lambda: outcomes(job) == ["released", "succeeded"])
    assert_equal(job, straight_paused)


def test_a_worker_without_the_database_leaves_messages_in_the_broker(whole: WholeFleet) -> None:
    """It takes one a slot, and one more at most; the others are for workers that can claim them."""
    whole.until_workers(1)
    app, queue = celery_app(whole.settings), whole.settings.queue
    until(lambda: waiting(app, queue) == 0)
    with whole.database.read() as c:
        key = message_key(c, whole.settings)
    whole.postgres.stop()
    try:
        publish(app, queue, [(10**6 + number, 1) for number in range(10)], key)
        time.sleep(5 * whole.settings.heartbeat_s)
        # None is taken by a service that has seen the outage before the messages came. Else its
        # child has one, and another may have come before the child said so.
        assert waiting(app, queue) >= 8
    finally:
        whole.postgres.start()
    until(lambda: waiting(app, queue) == 0)
