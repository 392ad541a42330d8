"""Notifications: where they go, and the outbox that they wait in.

A row is written in the transaction of what it tells, so it is there if and only if that happened.
The scheduler sends it, again and again until it is answered: at least once, always with one id.
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, func, select, update

from fitfleet.db.accounts import access, apprise_urls
from fitfleet.db.actor import Scope
from fitfleet.db.dialect import storable_text
from fitfleet.db.schema.tables import ended_experiments, experiments, jobs, notifications, webhooks
from fitfleet.db.session import now, read_clock
from fitfleet.errors import NotFoundError, SettingsError
from fitfleet.states import TERMINAL, JobStatus

EVENTS = ("job.succeeded", "job.failed", "experiment.finished", "sweep.finished", "worker.lost")
MAX_ATTEMPTS = 12  # over some five hours
_MIN_PAUSE_S = 10.0
_MAX_PAUSE_S = 3600.0
_SENDING_S = 60.0  # after which another scheduler takes over what one was sending
_SETTLING_LOCK = 0x66666E656E64  # of PostgreSQL's advisory locks
_KEPT_S = 7 * 86_400.0
_MESSAGE = 500  # characters


@dataclass(frozen=True)
class Due:
    """A notification that is to be sent now."""

    id: int
    event_id: str
    event: str
    payload: str
    attempts: int  # this one included
    url: str
    secret: str


def add(c: Connection, url: str, events: Sequence[str] = ()) -> tuple[int, str]:
    """Notify this URL of these events, or of all; its number and the signing secret.

    SettingsError for what is no URL of a web server, and for an unknown event.
    """
    _check_url(url)
    for name in events:
        if name not in EVENTS:
            raise SettingsError(f"event: {name!r:.40} is not one of {', '.join(EVENTS)}")
    access.change(c, "add webhook", shown(url), needs=Scope.ADMIN)
    secret = secrets.token_hex(32)
    values = {"url": url, "secret": secret, "events": ",".join(events), "created_at": now(c)}
    number = c.execute(webhooks.insert().values(**values).returning(webhooks.c.id)).scalar_one()
    return int(number), secret


def remove(c: Connection, number: int) -> str:
    """Remove a webhook; its URL as it is shown. NotFoundError."""
    url = c.execute(select(webhooks.c.url).where(webhooks.c.id == number)).scalar()
    if url is None:
        raise NotFoundError(f"there is no webhook {number}; `fitfleet webhook list` shows them")
    access.change(c, "remove webhook", shown(url), needs=Scope.ADMIN)
    c.execute(delete(notifications).where(notifications.c.webhook_id == number))
    c.execute(delete(webhooks).where(webhooks.c.id == number))
    return shown(url)


def listed(c: Connection) -> list[dict[str, Any]]:
    """All of them, with what they were sent in the last days; neither secrets nor whole URLs."""
    of_webhook = notifications.c.webhook_id == webhooks.c.id
    is_waiting = notifications.c.next_at.is_not(None)
    delivered = notifications.c.delivered_at.is_not(None)
    query = (
        select(
            webhooks.c.id,
            webhooks.c.url,
            webhooks.c.events,
            func.count(notifications.c.id).filter(delivered).label("delivered"),
            func.count(notifications.c.id).filter(is_waiting).label("waiting"),
            func.count(notifications.c.id).filter(~delivered & ~is_waiting).label("given_up"),
            func.max(notifications.c.error).label("error"),
        )
        .outerjoin(notifications, of_webhook)
        .group_by(webhooks.c.id, webhooks.c.url, webhooks.c.events)
        .order_by(webhooks.c.id)
    )
    rows = [dict(row._mapping) for row in c.execute(query)]
    return [{**row, "url": shown(row["url"]), "events": row["events"] or "all"} for row in rows]


def jobs_ended(c: Connection, job_ids: Collection[int]) -> None:
    """These jobs have ended in this transaction; so may their experiments have."""
    subscribers = _subscribers(c)
    if not subscribers or not job_ids:
        return
    wanted = _wanted(subscribers, "job.succeeded") | _wanted(subscribers, "job.failed")
    rows = c.execute(_ended_jobs().where(jobs.c.id.in_(sorted(job_ids)))).all() if wanted else []
    for row in rows:
        succeeded = row.status == JobStatus.SUCCEEDED
        _write(c, subscribers, "job.succeeded" if succeeded else "job.failed", _job(row))
    if _wanted(subscribers, "experiment.finished"):
        of_jobs = select(jobs.c.experiment_id).where(jobs.c.id.in_(sorted(job_ids))).distinct()
        c.execute(ended_experiments.insert().from_select(["experiment_id"], of_jobs))


def settle_experiments(c: Connection) -> None:
    """Notify of experiments whose last open job has ended; one scheduler at a time."""
    is_postgres = c.dialect.name == "postgresql"
    if is_postgres and not c.scalar(select(func.pg_try_advisory_xact_lock(_SETTLING_LOCK))):
        return
    marks = c.execute(select(ended_experiments).order_by(ended_experiments.c.id).limit(1000)).all()
    subscribers = _subscribers(c) if marks else {}
    for number in sorted({mark.experiment_id for mark in marks}):
        about = _ended_experiment(c, number)
        is_seen = ended_experiments.c.experiment_id == number
        if about is None:  # a mark that came meanwhile may be of the last job
            is_seen &= ended_experiments.c.id.in_([mark.id for mark in marks])
        else:
            _write(c, subscribers, "experiment.finished", about)
        c.execute(delete(ended_experiments).where(is_seen))


def _ended_experiment(c: Connection, number: int) -> dict[str, Any] | None:
    """The notification for an experiment; None while a job of it is open, or if it was removed."""
    of_it = jobs.c.experiment_id == number
    counts = select(jobs.c.status, func.count()).where(of_it).group_by(jobs.c.status)
    by_status = {JobStatus(status): count for status, count in c.execute(counts)}
    name = c.scalar(select(experiments.c.name).where(experiments.c.id == number))
    if name is None or not by_status.keys() <= TERMINAL:
        return None
    jobs_by_status = {status.lower(): count for status, count in sorted(by_status.items())}
    return {"experiment": name, "jobs": jobs_by_status}


def sweep_ended(c: Connection, name: str, experiment: str) -> None:
    """Notify that a sweep has ended."""
    _write(c, _subscribers(c), "sweep.finished", {"sweep": name, "experiment": experiment})


def workers_lost(c: Connection, lost: Mapping[str, Sequence[int]]) -> None:
    """These slots were given up in this transaction: slot -> jobs that are taken back from it."""
    subscribers = _subscribers(c) if lost else {}
    for worker, job_ids in sorted(lost.items()):
        _write(c, subscribers, "worker.lost", {"worker": worker, "jobs": sorted(job_ids)})


def claim_due(c: Connection, limit: int = 20) -> list[Due]:
    """What is to be sent now; it is leased from other schedulers for a while."""
    at = read_clock(c)
    query = (
        select(notifications.c.id)
        .where(notifications.c.next_at <= at)
        .order_by(notifications.c.next_at, notifications.c.id)
        .limit(limit)
    )
    if c.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    ids = list(c.scalars(query))
    if not ids:
        return []
    attempts = notifications.c.attempts + 1
    claimed = notifications.c.id.in_(ids)
    c.execute(
        update(notifications).where(claimed).values(next_at=at + _SENDING_S, attempts=attempts)
    )
    columns = [notifications.c[name] for name in ("id", "event_id", "event", "payload", "attempts")]
    joined = select(*columns, webhooks.c.url, webhooks.c.secret).join(webhooks).where(claimed)
    return [Due(**row._mapping) for row in c.execute(joined.order_by(notifications.c.id))]


def delivered(c: Connection, due: Due) -> None:
    """It was delivered."""
    values = {"next_at": None, "delivered_at": now(c), "error": None}
    c.execute(update(notifications).where(notifications.c.id == due.id).values(**values))


def failed(c: Connection, due: Due, error: str) -> bool:
    """It was not: try again later, or give it up after MAX_ATTEMPTS. Whether it will be retried."""
    is_last = due.attempts >= MAX_ATTEMPTS
    pause_s = min(_MAX_PAUSE_S, _MIN_PAUSE_S * 2.0 ** (due.attempts - 1))
    values = {"next_at": None if is_last else now(c) + pause_s, "error": storable_text(error)[:200]}
    c.execute(update(notifications).where(notifications.c.id == due.id).values(**values))
    return not is_last


def forget_old(c: Connection) -> int:
    """Remove what was sent or given up long ago; how many."""
    is_old = notifications.c.next_at.is_(None) & (notifications.c.created_at < now(c) - _KEPT_S)
    return int(c.execute(delete(notifications).where(is_old)).rowcount)


def shown(url: str) -> str:
    """A URL without what may be secret in it: user, path and query."""
    if apprise_urls.is_apprise(url):
        return apprise_urls.shown(url)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/..."


def _check_url(url: str) -> None:
    if apprise_urls.is_apprise(url) and len(url) <= 2000:
        return apprise_urls.check(url)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            f"webhook: {shown(url)!r:.60} is not the URL of a web server; give https://host/path"
        )
    if parts.username is not None or parts.password is not None or len(url) > 2000:
        raise SettingsError(
            f"webhook: {shown(url)} was given with a user, or is longer than 2000 characters; what"
            " is sent is signed with a secret of its own, so leave the user out"
        )


def _subscribers(c: Connection) -> dict[int, frozenset[str]]:
    """Number of a webhook -> the events that it subscribes to."""
    rows = c.execute(select(webhooks.c.id, webhooks.c.events)).all()
    return {row.id: frozenset(row.events.split(",") if row.events else EVENTS) for row in rows}


def _wanted(subscribers: Mapping[int, frozenset[str]], event: str) -> set[int]:
    return {number for number, events in subscribers.items() if event in events}


def _write(
    c: Connection, subscribers: Mapping[int, frozenset[str]], event: str, about: dict[str, Any]
) -> None:
    wanted = _wanted(subscribers, event)
    if not wanted:
        return
    at, event_id = read_clock(c), uuid.uuid4().hex
    payload = json.dumps({"id": event_id, "event": event, "at": at, **about}, sort_keys=True)
    values = {"event_id": event_id, "event": event, "payload": payload, "created_at": at}
    values |= {"next_at": at, "attempts": 0}
    c.execute(notifications.insert(), [{"webhook_id": n, **values} for n in sorted(wanted)])


def _ended_jobs() -> Any:
    names = ("id", "status", "attempt", "failures", "failure_class", "failure_message", "epoch")
    columns = [jobs.c[name] for name in names]
    return (
        select(*columns, experiments.c.name.label("experiment"))
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .where(jobs.c.status.in_([JobStatus.SUCCEEDED, JobStatus.FAILED]))
        .order_by(jobs.c.id)
    )


def _job(row: Any) -> dict[str, Any]:
    about = {"job": row.id, "experiment": row.experiment, "attempt": row.attempt}
    if row.status == JobStatus.SUCCEEDED:
        return {**about, "epochs": row.epoch}
    message = (row.failure_message or "")[:_MESSAGE]
    return {**about, "failure_class": row.failure_class, "failure_message": message}
