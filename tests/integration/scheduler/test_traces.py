"""A trace a job, out of its rows, to a real receiver; one that is away costs nothing."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp import OtlpReceiver, attributes
from support.rows import commit, insert, insert_many, new_job, register, take
from support.servers import free_port
from support.waiting import until

import fitfleet as ff
from fitfleet.db.attempts import ends
from fitfleet.db.fleet.trace_cursor import Horizon, refused
from fitfleet.db.jobs import jobs
from fitfleet.db.schema.tables import trace_cursor
from fitfleet.db.session import Database
from fitfleet.scheduler.maintenance import steps
from fitfleet.scheduler.traces import TraceSender
from fitfleet.settings import Settings
from fitfleet.states import FailureClass

PHASES = json.dumps(
    {
        "load": [0.0, 0.25],
        "train": [0.25, 1.0],
        "evaluate": [1.0, 1.5],
        "save": [1.5, 2.0],
        "epochs": [[1, 0.5], [2, 1.0]],
    }
)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
    yield receiver
    receiver.close()


@pytest.fixture
def sender(receiver: OtlpReceiver, database: Database) -> TraceSender:
    """One that has begun before any job has ended."""
    sender = TraceSender()
    register(database, 2)
    _begin(sender, database)
    return sender


def _begin(sender: TraceSender, database: Database) -> None:
    sender(database)
    assert sender._thread is not None
    sender._thread.join()


def _send(sender: TraceSender, database: Database) -> int:
    """Of how many jobs; as after the second that transactions may be apart."""
    sender._horizon = _Now()
    return sender.send_ended(database)


class _Now(Horizon):
    def until(self, c: sa.Connection) -> float:
        return time.time() + 60.0


def _by_name(spans: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for span in spans:
        found.setdefault(span.name, []).append(span)
    return found


def _seconds(span: Any) -> float:
    return float(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def test_a_job_is_one_trace_with_a_span_for_each_attempt_and_phase(
    database: Database, receiver: OtlpReceiver, sender: TraceSender
) -> None:
    insert(database, new_job("a", experiment="digits"))
    (lost,) = take(database)
    with database.begin() as c:
        assert ends.fail(c, lost, FailureClass.LOST, "worker host:1:0 died", backoff_s=0.0)
    (claim,) = take(database)
    with database.begin() as c:
        commit(c, claim, epoch=2, seconds=2.0, phases=PHASES)
    assert _send(sender, database) == 1 and _send(sender, database) == 0
    spans = receiver.spans()
    job = ff.Fleet(Settings(), database).job(claim.job_id)
    assert {span.trace_id.hex() for span in spans} == {job.trace_id}
    by_name, ids = _by_name(spans), {span.span_id: span for span in spans}
    assert len(ids) == len(spans)
    (root,) = by_name["job"]
    assert root.parent_span_id == b"" and root.status.code == 0
    about = attributes(root)
    assert (about["fitfleet.job.id"], about["fitfleet.experiment"]) == (claim.job_id, "digits")
    assert (about["fitfleet.queue"], about["fitfleet.status"]) == ("cpu", "succeeded")
    failed, won = by_name["attempt"]
    assert attributes(failed)["error.type"] == "lost" and failed.status.code == 2
    assert failed.status.message == "worker host:1:0 died"
    assert attributes(won)["fitfleet.outcome"] == "succeeded" and won.status.code == 0
    assert [span.parent_span_id for span in (*by_name["wait"], failed, won)] == [root.span_id] * 4
    assert [event.name for event in by_name["wait"][1].events] == ["dispatched"]
    for name in ("load", "train", "evaluate", "save", "commit"):
        (span,) = by_name[name]
        assert ids[span.parent_span_id] is won
        assert attributes(span)["fitfleet.attempt"] == 2
    assert _seconds(by_name["train"][0]) == pytest.approx(0.75, abs=1e-5)
    assert [attributes(event) for event in by_name["train"][0].events] == [
        {"fitfleet.epoch": 1},
        {"fitfleet.epoch": 2},
    ]
    for span in spans:
        assert root.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano


def test_standard_variables_say_headers_service_and_sampling(
    database: Database, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "fits")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=vision")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    sender = TraceSender()
    _begin(sender, database)
    (number,) = insert(database, new_job("a"))
    with database.begin() as c:
        jobs.cancel(c, number)
    assert _send(sender, database) == 1
    ((headers, message),) = receiver.requests
    assert headers["path"] == "/v1/traces"
    assert headers.get("Authorization", headers.get("authorization")) == "Bearer s3cret"
    about = attributes(message.resource_spans[0].resource)
    assert (about["service.name"], about["team"]) == ("fits", "vision")
    assert [span.name for span in receiver.spans()] == ["job", "wait"]
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    (number,) = insert(database, new_job("b"))
    with database.begin() as c:
        jobs.cancel(c, number)
    assert _send(TraceSender(), database) == 1 and len(receiver.requests) == 1


def test_a_restart_sends_nothing_twice_and_forgets_nothing(
    database: Database, receiver: OtlpReceiver, sender: TraceSender
) -> None:
    insert_many(database, 3)
    first, second, third = take(database, 3)
    with database.begin() as c:
        commit(c, first, epoch=5, seconds=1.0)
    assert _send(sender, database) == 1
    with database.begin() as c:
        commit(c, second, epoch=5, seconds=1.0)
    successor = TraceSender()
    _begin(successor, database)
    assert _send(successor, database) + len(_by_name(receiver.spans())["job"]) >= 2
    with database.begin() as c:
        commit(c, third, epoch=5, seconds=1.0)
    assert _send(successor, database) == 1
    told = [attributes(span)["fitfleet.job.id"] for span in _by_name(receiver.spans())["job"]]
    assert told == [first.job_id, second.job_id, third.job_id]


def test_a_retried_job_continues_its_trace_with_a_root_of_its_own(
    database: Database, receiver: OtlpReceiver, sender: TraceSender
) -> None:
    insert(database, new_job("a"))
    (claim,) = take(database)
    with database.begin() as c:
        ends.fail(c, claim, FailureClass.USER, "no such column")
    assert _send(sender, database) == 1
    with database.begin() as c:
        assert jobs.retry(c, claim.job_id)
    (again,) = take(database)
    with database.begin() as c:
        commit(c, again, epoch=5, seconds=1.0)
    assert _send(sender, database) == 1
    by_name = _by_name(receiver.spans())
    before, after = by_name["job"]
    assert before.trace_id == after.trace_id and before.span_id != after.span_id
    assert attributes(before)["error.type"] == "user" and before.status.message == "no such column"
    assert after.start_time_unix_nano >= before.end_time_unix_nano
    assert [attributes(span)["fitfleet.attempt"] for span in by_name["attempt"]] == [1, 2]


def test_a_receiver_that_is_away_costs_the_scheduler_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}/k3y-of-a-tenant")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sender = TraceSender()
    register(database, 1)
    _begin(sender, database)
    insert(database, new_job("a"))
    (claim,) = take(database)
    with database.begin() as c:
        commit(c, claim, epoch=5, seconds=1.0)
    sender._horizon = _Now()
    with caplog.at_level(logging.INFO):
        at = time.monotonic()
        sender(database)
        assert time.monotonic() - at < 0.5, "a step does not wait for it"
        assert sender._thread is not None
        sender._thread.join()
    assert "traces of 1 jobs were not taken" in caplog.text and "in 10 s" in caplog.text
    assert "k3y" not in caplog.text
    with database.begin() as c:
        (row,) = c.execute(sa.select(trace_cursor)).all()
        assert row.failures == 1 and row.job_id == 0
    assert _send(sender, database) == 0, "not before its time"
    with database.begin() as c:
        c.execute(trace_cursor.update().values(held_until=0.0))
    receiver = OtlpReceiver(port)
    try:
        assert _send(sender, database) == 1
        assert [span.name for span in receiver.spans()] == ["job", "wait", "attempt"]
    finally:
        receiver.close()


def test_a_locked_door_is_tried_again(
    database: Database, receiver: OtlpReceiver, sender: TraceSender
) -> None:
    (number,) = insert(database, new_job("a"))
    with database.begin() as c:
        jobs.cancel(c, number)
    receiver.status = 401
    assert _send(sender, database) == 0
    receiver.status = 200
    with database.begin() as c:
        c.execute(trace_cursor.update().values(held_until=0.0))
    assert _send(sender, database) == 1


class _Picky(OtlpReceiver):
    """Refuses every request that has a span of one of these jobs."""

    refused: tuple[int, ...] = ()

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        message = ExportTraceServiceRequest.FromString(body)
        spans = [s for r in message.resource_spans for scope in r.scope_spans for s in scope.spans]
        is_bad = any(attributes(span)["fitfleet.job.id"] in self.refused for span in spans)
        self.status = 400 if is_bad else 200
        return super().receive(path, headers, body)


def test_a_trace_that_is_refused_for_good_is_dropped_and_holds_up_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = _Picky()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
    sender = TraceSender()
    try:
        _begin(sender, database)
        numbers = insert_many(database, 60)
        receiver.refused = (numbers[20], numbers[21], numbers[55])
        for number in numbers:
            with database.begin() as c:
                jobs.cancel(c, number)
        while _send(sender, database):
            pass
        told = [attributes(span)["fitfleet.job.id"] for span in _by_name(receiver.spans())["job"]]
    finally:
        receiver.close()
    assert told == [number for number in numbers if number not in receiver.refused]
    with database.read() as c:
        assert refused(c) == 3
    assert caplog.text.count("is dropped") == 1
    assert f"the trace of job {numbers[20]} is refused (HTTP 400)" in caplog.text


def test_a_request_that_is_too_large_to_be_sent_is_sent_in_parts(
    database: Database, receiver: OtlpReceiver, sender: TraceSender
) -> None:
    numbers = insert_many(database, 8)
    for number in numbers:
        with database.begin() as c:
            jobs.cancel(c, number)
    sender._sdk.exporter._max_request_size = 1_500  # of OpenTelemetry's own 64 MiB
    while _send(sender, database):
        pass
    assert len(receiver.requests) > 1
    assert len(_by_name(receiver.spans())["job"]) == len(numbers)


def test_of_two_schedulers_one_sends(
    database: Database, receiver: OtlpReceiver, sender: TraceSender
) -> None:
    numbers = insert_many(database, 120)  # more than one request takes
    for number in numbers:
        with database.begin() as c:
            jobs.cancel(c, number)
    other = TraceSender()
    for one in (sender, other):
        one._horizon = _Now()
        one(database)

    def are_sent() -> bool:
        for one in (sender, other):
            one(database)
        return len(_by_name(receiver.spans()).get("job", [])) >= 120

    until(are_sent)
    told = [attributes(span)["fitfleet.job.id"] for span in _by_name(receiver.spans())["job"]]
    assert sorted(told) == numbers


def test_a_job_whose_transaction_is_open_is_waited_for(postgres_url: str) -> None:
    database, horizon = Database(postgres_url), Horizon()
    with database.read() as c:
        before = horizon.until(c)
    (number,) = insert(database, new_job("a"))
    with database.begin() as open_one:
        jobs.cancel(open_one, number)
        with database.read() as c:
            first = horizon.until(c)
            assert before <= first and horizon.until(c) == first
        with database.read() as c:
            assert horizon.until(c) == first, "as long as it is open"
    with database.read() as c:
        assert horizon.until(c) > first
    database.dispose()


def test_without_the_setting_no_exporter_is_loaded() -> None:
    # redis-py imports OpenTelemetry itself where it is installed.
    script = (
        "import sys; from fitfleet.scheduler.maintenance import steps;"
        " from fitfleet.settings import Settings; steps(Settings());"
        " import fitfleet.embedded.fleet;"
        " sys.exit(any(name.startswith('opentelemetry.exporter') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert not any(isinstance(step, TraceSender) for step in steps(Settings()))
