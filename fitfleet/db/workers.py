"""Worker slots: who is there, on which queue, and who is to drain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, or_, select, update

from fitfleet.db import events
from fitfleet.db.session import now, read_clock
from fitfleet.db.tables import workers
from fitfleet.errors import NotFoundError


@dataclass(frozen=True)
class Slot:
    """One place for a job: a prefork child of a worker service."""

    id: str  # host:pid:slot:token, pid being the service's
    service: str
    host: str
    pid: int
    slot: int
    queue: str
    device: str
    versions: dict[str, str] = field(default_factory=dict)


def register(c: Connection, slots: Sequence[Slot]) -> None:
    """Announce the slots of a service that starts. One of the same name before it has ended."""
    at = read_clock(c)
    for service in sorted({slot.service for slot in slots}):
        end(c, service)
    c.execute(workers.delete().where(workers.c.id.in_([slot.id for slot in slots])))
    c.execute(
        workers.insert(),
        [
            {
                **slot.__dict__,
                "versions": json.dumps(slot.versions),
                "started_at": at,
                "heartbeat_at": at,
            }
            for slot in slots
        ],
    )


def heartbeat(c: Connection, service: str, load: Mapping[str, Any] | None = None) -> bool:
    """Say that the service lives, and how busy it is; whether it is asked to drain."""
    c.execute(
        update(workers)
        .where(workers.c.service == service, workers.c.ended_at.is_(None))
        .values(heartbeat_at=now(c), load=json.dumps(dict(load or {})))
    )
    query = select(workers.c.id).where(
        workers.c.service == service, workers.c.ended_at.is_(None), workers.c.is_draining
    )
    return c.execute(query.limit(1)).first() is not None


def end(c: Connection, service: str) -> None:
    """Say that the service has ended."""
    c.execute(
        update(workers)
        .where(workers.c.service == service, workers.c.ended_at.is_(None))
        .values(ended_at=now(c))
    )


def drain(c: Connection, name: str) -> list[str]:
    """Ask services to drain, by name, by the id of a slot, or all of a host; the services asked."""
    is_named = or_(workers.c.service == name, workers.c.id == name, workers.c.host == name)
    statement = (
        update(workers)
        .where(is_named, workers.c.ended_at.is_(None))
        .values(is_draining=True)
        .returning(workers.c.service)
    )
    found = sorted(set(c.scalars(statement)))
    if not found:
        raise NotFoundError(f"there is no live worker {name!r}; `fitfleet workers` lists them")
    for service in found:
        events.add(c, "draining", worker=service)
    return found


def live(c: Connection, alive_s: float) -> list[dict[str, Any]]:
    """The slots heard of within `alive_s` seconds."""
    query = (
        select(workers)
        .where(workers.c.ended_at.is_(None), workers.c.heartbeat_at > now(c) - alive_s)
        .order_by(workers.c.id)
    )
    return [dict(row._mapping) for row in c.execute(query)]
