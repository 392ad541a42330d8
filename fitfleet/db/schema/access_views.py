"""The views of who may do what, and who did: a part of db/schema/views."""

from __future__ import annotations

from collections.abc import Callable

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "audit": [
        ("audit_id", "integer", "number, in order of time"),
        ("at", "time", "time"),
        ("user_name", "text", "who did it"),
        ("token_id", "text", "by which token; NULL: by the password of the database"),
        ("action", "text", "submit, cancel, retry, pause, drain, remove, create token, ..."),
        ("target", "text", "experiment, job, worker, token or user"),
        ("detail", "text", "details"),
    ],
    "users": [
        ("user_name", "text", "a user with a quota"),
        ("max_running", "integer", "jobs in flight at once; NULL: no limit"),
        ("in_flight", "integer", "jobs in flight of the user's experiments"),
        ("gpu_hours", "real", "GPU-hours in 30 days; NULL: no limit"),
        ("gpu_hours_used", "real", "used of them, measured once a minute; 0 without a limit"),
    ],
    "tokens": [
        ("token_id", "text", "number of the token"),
        ("user_name", "text", "whose it is"),
        ("scope", "text", "read, submit, admin or work"),
        ("created_at", "time", "time"),
        ("expires_at", "time", "end; NULL: none"),
        ("revoked_at", "time", "when it was revoked; NULL: it was not"),
        ("max_jobs", "integer", "unfinished jobs that it may have; NULL: any number"),
    ],
}


def definitions(iso: Callable[[str], str]) -> dict[str, str]:
    """The SELECT of each; `iso` writes a time as text."""
    return {
        "audit": f"""
SELECT a.id AS audit_id, {iso("a.at")} AS at, a.user_name AS user_name, a.token_id AS token_id,
  a.action AS action, a.target AS target, a.detail AS detail
FROM audit_log a""",
        "users": """
SELECT u.name AS user_name, u.max_running AS max_running,
  (SELECT COUNT(j.id) FROM jobs j JOIN experiments e ON e.id = j.experiment_id
    WHERE e.user_name = u.name AND j.status IN ('RUNNING', 'DISPATCHED')) AS in_flight,
  u.gpu_hours AS gpu_hours, u.gpu_seconds / 3600.0 AS gpu_hours_used
FROM fleet_users u""",
        "tokens": f"""
SELECT t.id AS token_id, t.user_name AS user_name, t.scope AS scope,
  {iso("t.created_at")} AS created_at, {iso("t.expires_at")} AS expires_at,
  {iso("t.revoked_at")} AS revoked_at, t.max_jobs AS max_jobs
FROM access_tokens t""",
    }
