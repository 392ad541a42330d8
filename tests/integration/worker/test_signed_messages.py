"""A worker acts on the messages of its scheduler alone, whatever else lies in its broker."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.servers import Valkey, die_with_parent, free_port
from support.waiting import until

from fitfleet.db.accounts import keys
from fitfleet.db.reading import lookup
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Database
from fitfleet.queue import SIGNATURE, TASK, celery_app, publish, signature, waiting
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.submit import Submission


class Worker:
    """A service of one slot, without a scheduler: the test publishes."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.database = settings, Database(settings.database_url)
        self.app, self.log, self.port = celery_app(settings), folder / "worker.log", free_port()
        with self.database.read() as c:
            self.key = keys.message_key(c, settings)
        command = [sys.executable, "-m", "fitfleet", "worker"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--metrics", f"127.0.0.1:{self.port}"],
                env=settings.to_environment() | {"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                stdout=log,
                stderr=log,
                cwd=folder,
                preexec_fn=die_with_parent(15),
            )
        until(self._is_up)

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(OSError):
            return "ready for jobs" in self.log.read_text() and bool(self.refused())
        return False

    def dispatched(self, **job: Any) -> tuple[int, int]:
        """A new job's (job_id, dispatch_seq), dispatched, but not published."""
        from fitfleet.db.jobs import jobs

        row = Submission(self.settings).row(job)
        with self.database.begin() as c:
            jobs.insert(c, [row])
            (message,) = dispatch.dispatch(c, "cpu", 1)
        return message

    def status(self, job_id: int) -> JobStatus:
        """Of a job."""
        with self.database.read() as c:
            row = lookup.job(c, job_id)
        assert row is not None
        return row.status

    def refused(self) -> dict[str, int]:
        """What /metrics says, by reason."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            page = answer.read().decode()
        found = re.findall(r'refused_messages_total\{reason="(\w+)"\} (\d+)', page)
        return {reason: int(count) for reason, count in found}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def worker(
    valkey: Valkey, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    (folder / "fleet.db").write_bytes(sqlite_template.read_bytes())
    settings = Settings(
        database_url=f"sqlite:///{folder / 'fleet.db'}",
        broker_url=valkey.url,
        **{name: str(folder / name) for name in ("storage", "logs", "cache")},
    )
    (folder / "storage").mkdir()
    worker = Worker(settings, folder)
    yield worker
    worker.process.terminate()
    worker.process.wait(30)
    worker.database.dispose()


def _envelope(arguments: Any, signed: str = "", **headers: Any) -> dict[str, Any]:
    """A message as Celery writes it."""
    body = base64.b64encode(json.dumps([arguments, {}, {}]).encode()).decode()
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": "1", SIGNATURE: signed, **headers},
        "properties": {
            "delivery_info": {"exchange": "", "routing_key": "cpu"},
            "delivery_tag": "1",
            "body_encoding": "base64",
        },
    }


def _send(valkey: Valkey, *messages: Any) -> None:
    client = valkey.client()
    for message in messages:
        client.lpush("cpu", message if isinstance(message, bytes) else json.dumps(message))
    client.close()


def test_what_the_scheduler_has_not_signed_is_refused(
    worker: Worker, valkey: Valkey, job: dict[str, Any]
) -> None:
    before = worker.refused()
    job_id, seq = worker.dispatched(**job, experiment="forged")
    shutdown = {"method": "shutdown", "arguments": {}, "destination": None}
    _send(
        valkey,
        _envelope([job_id, seq]),
        _envelope([job_id, seq], signature(b"another key" * 4, "cpu", job_id, seq)),
        _envelope([job_id, seq], signature(worker.key, "gpu", job_id, seq)),
        _envelope([job_id, seq], signature(worker.key, "cpu", job_id, seq + 1)),
        _envelope([job_id, seq], "\ud800"),
        *(b"x", b"\xff", b"{}", b"[]", b"1", b"[" * 4000, json.dumps(shutdown).encode()),
        *(_envelope(a) for a in (["x", 1], [1], [True, 1], [1, 2, 3], [2**70, 1], [-1, 1])),
        _envelope([[[job_id, seq]]], task="celery.starmap"),
        _envelope([job_id, seq], signature(worker.key, "cpu", job_id, seq), filler="x" * 4096),
        b"[" * 10_000_000,
    )
    until(lambda: waiting(worker.app, "cpu") == 0)
    expected = {"unsigned": 5, "unreadable": 14, "oversized": 2, "control": 0}
    until(lambda: worker.refused() == {k: n + before[k] for k, n in expected.items()}, 10)
    assert worker.status(job_id) is JobStatus.DISPATCHED
    publish(worker.app, "cpu", [(job_id, seq)], worker.key)
    until(lambda: worker.status(job_id).is_terminal)
    assert worker.status(job_id) is JobStatus.SUCCEEDED
    for told in ("the signature of this fleet", "a message that fitfleet", "more than 4,096 bytes"):
        assert worker.log.read_text().count(told) == 1


def test_remote_control_is_counted_and_not_obeyed(worker: Worker, valkey: Valkey) -> None:
    before = worker.refused()["control"]
    control = worker.app.control
    control.shutdown()
    control.pool_shrink(1)
    control.cancel_consumer("cpu")
    control.broadcast("shutdown", destination=[f"cpu-{worker.process.pid}"])
    client = valkey.client()
    for foreign in (b"x", b"[" * 100_000, b"\xff"):
        client.publish("/0.celery.pidbox", foreign)
    client.close()
    until(lambda: worker.refused()["control"] == before + 7, 10)
    assert worker.process.poll() is None
    assert worker.log.read_text().count("remote-control command") == 1
    assert "Traceback" not in worker.log.read_text()


def test_nothing_but_two_numbers_of_a_signed_message_is_used(
    worker: Worker, valkey: Valkey, job: dict[str, Any]
) -> None:
    """A copy of a genuine one with other headers would end fits, or run other tasks, elsewhere."""
    job_id, seq = worker.dispatched(**{**job, "seed": 5}, experiment="headers")
    signed = signature(worker.key, "cpu", job_id, seq)
    callback = {"task": "celery.chain", "args": [], "kwargs": {}, "options": {"queue": "stolen"}}
    message = _envelope(
        [job_id, seq],
        signed,
        task="celery.map",
        timelimit=[0.01, 0.01],
        eta="2999-01-01T00:00:00",
        expires="2000-01-01T00:00:00",
        compression="zlib",
    )
    body = json.dumps([[job_id, seq], {"x": 1}, {"callbacks": [callback], "errbacks": [callback]}])
    _send(valkey, {**message, "body": base64.b64encode(body.encode()).decode()})
    until(lambda: worker.status(job_id).is_terminal)
    assert worker.status(job_id) is JobStatus.SUCCEEDED
    assert waiting(worker.app, "stolen") == 0


@pytest.mark.slow
def test_a_damaged_list_of_messages_that_are_underway_ends_no_service(
    worker: Worker, valkey: Valkey, job: dict[str, Any]
) -> None:
    """kombu reads it every few seconds, to give back what a dead worker had taken."""
    before = worker.refused()
    client = valkey.client()
    for number, value in enumerate(("x", "[1, 2]", json.dumps([_envelope([1, 1]), "", "cpu"]))):
        client.hset("unacked", f"tag-{number}", value)
        client.zadd("unacked_index", {f"tag-{number}": time.time() - 10_000})
    until(lambda: client.zcard("unacked_index") == 0, 150)
    client.close()
    until(lambda: worker.refused()["unsigned"] == before["unsigned"] + 1, 30)
    assert worker.refused()["unreadable"] == before["unreadable"] + 2
    job_id, seq = worker.dispatched(**{**job, "seed": 6}, experiment="damaged")
    publish(worker.app, "cpu", [(job_id, seq)], worker.key)
    until(lambda: worker.status(job_id) is JobStatus.SUCCEEDED)
    assert "Traceback" not in worker.log.read_text()
