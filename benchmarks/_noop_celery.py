"""The plain Celery side of `noop.py`: an app with a task that does nothing."""

from __future__ import annotations

import os

import redis
from celery import Celery

BROKER_URL = os.environ.get("NOOP_BROKER_URL", "redis://localhost:6379/0")
ENDED = "noop-ended"

app = Celery("noop", broker=BROKER_URL)
app.conf.task_ignore_result = True


@app.task
def nothing(job_id: int, dispatch_seq: int) -> None:
    """What a fit costs when it is neither recorded nor fitted."""


@app.task
def end() -> None:
    """The last message says that those before it were taken."""
    redis.Redis.from_url(BROKER_URL).incr(ENDED)
