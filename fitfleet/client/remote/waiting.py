"""Waiting for jobs by the HTTP API."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fitfleet.client.display.display import Display
from fitfleet.client.remote import json_forms
from fitfleet.client.remote.connection import Connection
from fitfleet.db.outages import Tolerance
from fitfleet.errors import WaitTimeoutError

_POLL_S = 0.25
# Slow polls are made less often: they take at most this share of the time.
_POLL_SHARE = 0.1
# A waiting script outlives a restart of the API.
_OUTAGE_S = 120.0


def wait_for(
    connection: Connection, job_ids: Sequence[int], display: Display, timeout_s: float | None
) -> None:
    """Return when every job has ended, and draw their state meanwhile.

    WaitTimeoutError after `timeout_s`; ApiError when the API has been away for two minutes.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    outages, left = Tolerance(_OUTAGE_S), len(job_ids)
    while left:
        began = time.monotonic()
        with outages:
            snapshot = json_forms.snapshot_of(connection.post("/v1/snapshot", jobs=job_ids))
            display.draw(snapshot)
            left = snapshot.jobs - snapshot.ended
        now = time.monotonic()
        if left and deadline is not None and now >= deadline:
            raise WaitTimeoutError(
                f"{left} of {len(job_ids)} jobs have not ended after {timeout_s:g} s;"
                " they continue running"
            )
        if left:
            time.sleep(max(_POLL_S, (now - began) / _POLL_SHARE))
