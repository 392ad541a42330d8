"""A look at the storage, which may be slow or away, keeps nobody from writing to the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.rows import commit, insert, new_job, take
from support.s3 import CREDENTIALS

from fitfleet.client.tasks import _queued
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.objects import store
from fitfleet.settings import Settings
from fitfleet.states import JobStatus


class EmptyBucket:
    """A server of S3 without a file; each request of it writes to the database first."""

    def __init__(self, database: Database) -> None:
        self.written: list[bool] = []
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                pass

            def answer(self) -> None:
                bucket.written.append(_is_writable(database))
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _is_writable(database: Database) -> bool:
    try:
        with database.begin() as c:
            c.exec_driver_sql("UPDATE jobs SET priority = priority")
    except DatabaseError:
        return False
    return True


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'fleet.db'}")
    database.upgrade()
    yield database
    database.dispose()


@pytest.fixture
def bucket(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmptyBucket]:
    bucket = EmptyBucket(database)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": bucket.endpoint}.items():
        monkeypatch.setenv(name, value)
    yield bucket
    bucket.close()
    store._systems.clear()


def test_a_task_whose_file_is_gone_is_queued_again_without_a_lock_over_the_look(
    database: Database, bucket: EmptyBucket, tmp_path: Path
) -> None:
    settings = Settings(storage="s3://fleet/x", cache=str(tmp_path / "cache"), storage_retry_s=0.0)
    new = new_job("predictions")
    (first,) = insert(database, new)
    (claim,) = take(database)
    with database.begin() as c:
        assert commit(c, claim, epoch=5, seconds=1.0)
    row = _queued(database, settings, new)
    assert (row.status, row.id != first) == (JobStatus.QUEUED, True)
    assert bucket.written and all(bucket.written)
