"""The view of what waits, for whatever starts and ends workers by it: a part of db/schema/views."""

from __future__ import annotations

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "backlog": [
        ("queue", "text", "a queue with unfinished jobs"),
        ("ready", "integer", "jobs that wait for a slot: not paused, no backoff, no other job"),
        ("held", "integer", "jobs that wait for something else"),
        ("in_flight", "integer", "jobs on their way to a worker, or running"),
    ],
}


def definitions(clock: str) -> dict[str, str]:
    """The SELECT of each; `clock` is SQL for the seconds since 1970."""
    is_ready = f"j.status = 'QUEUED' AND NOT e.is_paused AND j.not_before <= {clock}"
    return {
        "backlog": f"""
SELECT b.queue AS queue, SUM(b.is_ready) AS ready,
  SUM(1 - b.is_ready - b.is_in_flight) AS held, SUM(b.is_in_flight) AS in_flight
FROM (
  SELECT j.queue, CASE WHEN {is_ready} THEN 1 ELSE 0 END AS is_ready,
    CASE WHEN j.status = 'QUEUED' THEN 0 ELSE 1 END AS is_in_flight
  FROM jobs j JOIN experiments e ON e.id = j.experiment_id
  WHERE j.status IN ('QUEUED', 'DISPATCHED', 'RUNNING')
) b GROUP BY b.queue""",
    }
