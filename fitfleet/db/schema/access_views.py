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
        ("user_name", "text", "a user with a quota, a group or shares"),
        ("max_running", "integer", "jobs in flight at once; NULL: no limit"),
        ("in_flight", "integer", "jobs in flight of the user's experiments"),
        ("gpu_hours", "real", "GPU-hours in 30 days; NULL: no limit"),
        ("gpu_hours_used", "real", "used of them, measured once a minute; 0 without a limit"),
        ("group_name", "text", "group of the user; NULL: that of all who have none, default"),
        ("shares", "real", "of what the group has"),
    ],
    "shares": [
        ("kind", "text", "group or user"),
        ("name", "text", "its name; default: of the users without a group, of unknown users"),
        ("group_name", "text", "group of the user, or the group itself"),
        ("shares", "real", "of the slots, in proportion to those of the others that have jobs"),
        ("slots", "integer", "in use: by a job, a cohort, or a message that is sent"),
        ("in_flight", "integer", "jobs in flight"),
        ("max_running", "integer", "jobs in flight at once; NULL: no limit"),
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


# As db/accounts/usage counts.
_SLOTS = """
SELECT COALESCE(e.user_name, 'default') AS name, COALESCE(j.owner, CAST(j.id AS VARCHAR)) AS slot,
  j.id AS job_id
FROM jobs j JOIN experiments e ON e.id = j.experiment_id
WHERE j.status IN ('RUNNING', 'DISPATCHED')
UNION ALL
SELECT COALESCE(e.user_name, 'default'), k.slot, j.id
FROM gang_slots k JOIN jobs j ON j.id = k.job_id AND j.dispatch_seq = k.dispatch_seq
JOIN experiments e ON e.id = j.experiment_id
WHERE j.status IN ('RUNNING', 'DISPATCHED') AND j.owner IS NOT NULL"""
_PEOPLE = f"""
SELECT n.name, COALESCE(u.group_name, 'default') AS group_name, COALESCE(u.shares, 1.0) AS shares,
  COUNT(DISTINCT s.slot) AS slots, COUNT(DISTINCT s.job_id) AS in_flight, u.max_running,
  u.gpu_hours, COALESCE(u.gpu_seconds, 0.0) / 3600.0 AS gpu_hours_used
FROM (
  SELECT f.name FROM fleet_users f UNION SELECT a.name FROM ({_SLOTS}) a
) n LEFT JOIN fleet_users u ON u.name = n.name LEFT JOIN ({_SLOTS}) s ON s.name = n.name
GROUP BY n.name, u.group_name, u.shares, u.max_running, u.gpu_hours, u.gpu_seconds"""
_GROUPS = """
SELECT f.name, f.shares, f.max_running, f.gpu_hours FROM fleet_groups f
UNION ALL
SELECT 'default', 1.0, NULL, NULL
WHERE NOT EXISTS (SELECT 1 FROM fleet_groups d WHERE d.name = 'default')"""


def definitions(iso: Callable[[str], str], number: str) -> dict[str, str]:
    """The SELECT of each; `iso` writes a time as text, `number` is the type of whole numbers."""
    return {
        "audit": f"""
SELECT a.id AS audit_id, {iso("a.at")} AS at, a.user_name AS user_name, a.token_id AS token_id,
  a.action AS action, a.target AS target, a.detail AS detail
FROM audit_log a""",
        "users": """
SELECT u.name AS user_name, u.max_running AS max_running,
  (SELECT COUNT(j.id) FROM jobs j JOIN experiments e ON e.id = j.experiment_id
    WHERE e.user_name = u.name AND j.status IN ('RUNNING', 'DISPATCHED')) AS in_flight,
  u.gpu_hours AS gpu_hours, u.gpu_seconds / 3600.0 AS gpu_hours_used,
  u.group_name AS group_name, COALESCE(u.shares, 1.0) AS shares
FROM fleet_users u""",
        "shares": f"""
SELECT 'user' AS kind, p.name AS name, p.group_name AS group_name, p.shares AS shares,
  p.slots AS slots, p.in_flight AS in_flight, p.max_running AS max_running,
  p.gpu_hours AS gpu_hours, p.gpu_hours_used AS gpu_hours_used
FROM ({_PEOPLE}) p
UNION ALL
SELECT 'group', g.name, g.name, g.shares, CAST(COALESCE(SUM(p.slots), 0) AS {number}),
  CAST(COALESCE(SUM(p.in_flight), 0) AS {number}), g.max_running, g.gpu_hours,
  COALESCE(SUM(p.gpu_hours_used), 0.0)
FROM ({_GROUPS}) g LEFT JOIN ({_PEOPLE}) p ON p.group_name = g.name
GROUP BY g.name, g.shares, g.max_running, g.gpu_hours""",
        "tokens": f"""
SELECT t.id AS token_id, t.user_name AS user_name, t.scope AS scope,
  {iso("t.created_at")} AS created_at, {iso("t.expires_at")} AS expires_at,
  {iso("t.revoked_at")} AS revoked_at, t.max_jobs AS max_jobs
FROM access_tokens t""",
    }
