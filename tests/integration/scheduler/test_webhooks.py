"""Notifications: written with what they tell, signed, sent until a real server answers."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from support.post_server import PostReceiver
from support.rows import commit, insert, new_job, register, take
from support.servers import die_with_parent
from support.waiting import until

from fitfleet.db.accounts import webhooks
from fitfleet.db.actor import Actor, Scope
from fitfleet.db.attempts import ends
from fitfleet.db.jobs import jobs
from fitfleet.db.scheduling import recovery
from fitfleet.db.schema.tables import notifications
from fitfleet.db.session import Database
from fitfleet.errors import AccessError, NotFoundError, SettingsError
from fitfleet.scheduler.webhooks import send_due
from fitfleet.settings import Settings
from fitfleet.states import FailureClass


class Receiver(PostReceiver):
    """Keeps what it is sent; `status` is what it answers."""

    def __init__(self) -> None:
        self.wait_s = 0.0
        self.got: list[tuple[dict[str, str], bytes]] = []
        super().__init__(204)
        self.url = f"http://127.0.0.1:{self.port}/hook?key=s3cret-of-the-path"

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        self.got.append((headers, body))
        time.sleep(self.wait_s)
        return {"Location": f"{self.url}/elsewhere"} if self.status in (302, 307) else {}

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def _add(database: Database, receiver: Receiver, *events: str) -> str:
    with database.begin() as c:
        return webhooks.add(c, receiver.url, events)[1]


def _due_at_once(database: Database) -> None:
    with database.begin() as c:
        waiting = notifications.c.next_at.is_not(None)
        c.execute(notifications.update().where(waiting).values(next_at=0.0))


def test_the_ends_of_jobs_are_notified_with_a_signature(
    database: Database, receiver: Receiver
) -> None:
    register(database, 2)
    secret = _add(database, receiver)
    insert(database, new_job("a"), new_job("b"), new_job("c"))
    first, second = take(database, 2)
    with database.begin() as c:
        commit(c, first, epoch=5, seconds=1.0)
    with database.begin() as c:
        ends.fail(c, second, FailureClass.USER, "the loss became NaN")
    assert send_due(database) == 2
    succeeded, failed = receiver.events()
    assert (succeeded["event"], succeeded["job"], succeeded["epochs"]) == (
        "job.succeeded", first.job_id, 5,
    )  # fmt: skip
    assert (failed["event"], failed["job"], failed["experiment"]) == (
        "job.failed", second.job_id, "digits",
    )  # fmt: skip
    assert (failed["failure_class"], failed["failure_message"]) == ("user", "the loss became NaN")
    headers, body = receiver.got[0]
    at, _, digest = headers["X-Fitfleet-Signature"].removeprefix("t=").partition(",v1=")
    assert abs(int(at) - time.time()) < 60
    wanted = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(digest, wanted)
    assert headers["X-Fitfleet-Delivery"] == succeeded["id"] != failed["id"]
    # The third job is the last of its experiment.
    with database.begin() as c:
        jobs.cancel(c, 3)
    assert send_due(database) == 1
    finished = receiver.events()[-1]
    assert finished["event"] == "experiment.finished" and finished["experiment"] == "digits"
    assert finished["jobs"] == {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert send_due(database) == 0


def test_what_is_rolled_back_is_not_notified(database: Database, receiver: Receiver) -> None:
    register(database, 1)
    _add(database, receiver)
    insert(database, new_job("a"))
    (claim,) = take(database)
    with pytest.raises(RuntimeError), database.begin() as c:
        commit(c, claim, epoch=5, seconds=1.0)
        raise RuntimeError
    assert send_due(database) == 0 and receiver.got == []
    # A retry is no end, and a worker that has lost the job tells nothing.
    with database.begin() as c:
        assert ends.fail(c, claim, FailureClass.LOST, "gone", backoff_s=0.0)
        assert not ends.fail(c, claim, FailureClass.USER, "too late")
    assert send_due(database) == 0


def test_a_lost_worker_is_reported(database: Database, receiver: Receiver) -> None:
    register(database, 1)
    _add(database, receiver, "worker.lost", "job.failed")
    insert(database, new_job("a"))
    (claim,) = take(database)
    with database.begin() as c:
        c.execute(sa.text("UPDATE jobs SET lease_until = 0"))
        assert recovery.requeue_expired(c, 0.0) == [claim.job_id]
    assert send_due(database) == 1
    (lost,) = receiver.events()
    assert (lost["event"], lost["worker"], lost["jobs"]) == (
        "worker.lost", claim.worker, [claim.job_id],
    )  # fmt: skip


def test_a_refusal_is_tried_again_later_and_given_up_at_last(
    database: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    register(database, 1)
    secret = _add(database, receiver)
    insert(database, new_job("a"), new_job("b"))
    (claim,) = take(database)
    receiver.status = 302  # nor is it followed
    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=1.0)
    with caplog.at_level(logging.WARNING):
        assert send_due(database) == 1
    assert send_due(database) == 0, "not at once"
    with database.read() as c:
        (row,) = c.execute(sa.select(notifications)).all()
        (shown,) = webhooks.listed(c)
    assert row.attempts == 1 and 5 < row.next_at - time.time() <= 10
    assert shown["error"] == "it answered 302" and shown["waiting"] == 1
    for _ in range(webhooks.MAX_ATTEMPTS - 1):
        _due_at_once(database)
        assert send_due(database) == 1
    _due_at_once(database)
    assert send_due(database) == 0
    with database.read() as c:
        (shown,) = webhooks.listed(c)
    assert (shown["waiting"], shown["given_up"], shown["delivered"]) == (0, 1, 0)
    assert len({event["id"] for event in receiver.events()}) == 1
    assert len(receiver.got) == webhooks.MAX_ATTEMPTS
    for text in (caplog.text, json.dumps(shown)):
        assert secret not in text and "s3cret" not in text
        assert "127.0.0.1" in text


def test_only_an_admin_says_where_it_goes(database: Database, receiver: Receiver) -> None:
    for url, says in (
        ("ftp://host/x", "is not the URL of a web server"),
        ("file:///etc/passwd", "is not the URL of a web server"),
        ("https://me:s3cret@host/x", "was given with a user"),
    ):
        with pytest.raises(SettingsError, match=says) as caught, database.begin() as c:
            webhooks.add(c, url)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"'job\.done' is not one of job\.succeeded, "):
        _add(database, receiver, "job.done")
    ana = Database(database.url.render_as_string(hide_password=False), Actor("ana", Scope.SUBMIT))
    with pytest.raises(AccessError, match="this needs one of scope admin"):
        _add(ana, receiver)
    ana.dispose()
    with pytest.raises(NotFoundError, match="there is no webhook 7"), database.begin() as c:
        webhooks.remove(c, 7)


def test_what_a_killed_scheduler_has_not_sent_another_one_sends(
    settings: Settings, database: Database, receiver: Receiver
) -> None:
    """Killed while the receiver has the request and has not answered: at least once, one id."""
    register(database, 1)
    _add(database, receiver, "job.succeeded")
    insert(database, new_job("a"))
    (claim,) = take(database)
    receiver.wait_s = 30.0
    environment = {**os.environ, **settings.replace(recover_s=0.1).to_environment()}

    def scheduler() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "fitfleet", "scheduler"],
            env=environment,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=1.0)
    with scheduler() as first:
        until(lambda: len(receiver.got) == 1)
        first.kill()
    receiver.wait_s = 0.0
    _due_at_once(database)  # as it is a minute later
    with scheduler() as second:
        until(lambda: len(receiver.got) == 2)

        def is_delivered() -> bool:
            with database.read() as c:
                return bool(webhooks.listed(c)[0]["delivered"] == 1)

        until(is_delivered)
        second.terminate()
    once, again = receiver.events()
    assert once == again


def test_of_two_that_end_the_last_jobs_at_once_one_notifies_of_the_experiment(
    database: Database, receiver: Receiver
) -> None:
    register(database, 2)
    _add(database, receiver, "experiment.finished")
    insert(database, new_job("a"), new_job("b"))
    first, second = take(database, 2)

    def end_second() -> None:
        with database.begin() as c:
            commit(c, second, epoch=5, seconds=1.0)

    with database.begin() as c:
        commit(c, first, epoch=5, seconds=1.0)
        if c.dialect.name == "postgresql":  # SQLite has one writer
            end_second()
            assert send_due(database) == 0, "to others the first still runs"
    if database.engine.dialect.name == "sqlite":
        end_second()
    assert send_due(database) == 1
    (finished,) = receiver.events()
    assert finished["jobs"] == {"succeeded": 2}
    assert send_due(database) == 0


def _add_apprise(database: Database, receiver: Receiver, *events: str) -> str:
    port = receiver.url.split(":")[2].partition("/")[0]
    url = f"apprise:json://me:s3cret@127.0.0.1:{port}/tok3n?+X-Key=s3cret"
    with database.begin() as c:
        webhooks.add(c, url, events)
    return url


def test_apprise_notifies_people_in_a_sentence(
    database: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    register(database, 1)
    _add_apprise(database, receiver, "job.failed", "experiment.finished")
    insert(database, new_job("a"))
    (claim,) = take(database)
    with database.begin() as c:
        ends.fail(c, claim, FailureClass.USER, "the loss became NaN")
    receiver.status = 307  # nor is it followed
    with caplog.at_level(logging.DEBUG, "fitfleet"), caplog.at_level(logging.DEBUG, "apprise"):
        assert send_due(database) == 2
    with database.read() as c:
        (shown,) = webhooks.listed(c)
        audit = json.dumps([row._asdict() for row in c.execute(sa.text("SELECT * FROM audit"))])
    assert shown["error"] == "its service did not take the message" and shown["waiting"] == 2
    assert shown["url"] == "apprise:json://..." and len(receiver.got) == 2
    for text in (caplog.text, json.dumps(shown), audit):
        assert "s3cret" not in text and "tok3n" not in text and "json://" in text
    receiver.status, receiver.got = 200, []
    _due_at_once(database)
    assert send_due(database) == 2
    told = sorted((event["title"], event["message"]) for event in receiver.events())
    assert told == [
        ("fitfleet: experiment.finished", "Experiment digits is finished: 1 failed."),
        ("fitfleet: job.failed", "Job 1 of digits failed (user: the loss became NaN)."),
    ]
    with database.read() as c:
        assert webhooks.listed(c)[0]["delivered"] == 2


def test_a_url_that_apprise_cannot_use_is_refused_without_its_secret(database: Database) -> None:
    for url in ("apprise:slock://s3cret/tok3n", "apprise:slack://", "apprise:s3cret"):
        with pytest.raises(SettingsError, match="can send to") as caught, database.begin() as c:
            webhooks.add(c, url)
        assert "tok3n" not in str(caught.value)
        assert "s3cret" not in str(caught.value) or url == "apprise:s3cret"
