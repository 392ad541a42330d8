"""Worker slots: who is there, on which queue, and who is to drain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from sqlalchemy import Connection, func, or_, select, update

from fitfleet.db import events
from fitfleet.db.accounts import access
from fitfleet.db.actor import Scope
from fitfleet.db.schema.tables import workers
from fitfleet.db.session import now, read_clock
from fitfleet.errors import NotFoundError
from fitfleet.spec.requirements import route_of
from fitfleet.spec.versions import installed, number_of

# A slot that has been silent for longer does not keep its name.
_SILENT_S = 60.0
_NAMES_LOCK = 0x66666E616D65  # of PostgreSQL's advisory locks


@dataclass(frozen=True)
class Slot:
    """A slot: a prefork child of a worker service."""

    id: str  # host:pid:slot:token, pid being the service's
    service: str
    host: str
    pid: int
    slot: int
    queue: str
    device: str
    versions: dict[str, str] = field(default_factory=lambda: {"fitfleet": installed()})
    labels: Mapping[str, str] = field(default_factory=dict)  # what jobs may ask of it
    device_bytes: int | None = None  # what fits may use of its device; None: it is not watched
    label: str = "cpu"  # of its name: a free number follows; `gpu1` is taken as it is if it is free


def register(c: Connection, slots: Sequence[Slot]) -> list[str]:
    """Announce the slots of a service that starts; their names.

    A service of the same name before it has ended.
    """
    at = read_clock(c)
    for service in sorted({slot.service for slot in slots}):
        end(c, service)
    c.execute(workers.delete().where(workers.c.id.in_([slot.id for slot in slots])))
    names = _free_names(c, slots)
    c.execute(
        workers.insert(),
        [
            {
                **{key: value for key, value in vars(slot).items() if key != "label"},
                "name": name,
                "versions": json.dumps(slot.versions),
                "labels": json.dumps(dict(slot.labels), sort_keys=True),
                "route": route_of(slot.queue, slot.labels),
                "version": number_of(slot.versions.get("fitfleet", "")),
                "started_at": at,
                "heartbeat_at": at,
            }
            for slot, name in zip(slots, names, strict=True)
        ],
    )
    return names


def _free_names(c: Connection, slots: Sequence[Slot]) -> list[str]:
    """A name a slot that no live slot has: a service that is started again gets those it had."""
    if c.dialect.name == "postgresql":  # two services of a host may start at once
        c.execute(select(func.pg_advisory_xact_lock(_NAMES_LOCK)))
    query = select(workers.c.name).where(
        workers.c.ended_at.is_(None), workers.c.heartbeat_at > now(c) - _SILENT_S
    )
    taken = set(c.scalars(query))
    names = []
    for slot in slots:
        is_numbered = slot.label[-1:].isdigit()
        first = [slot.label] if is_numbered else []
        more = (f"{slot.label}{'.' if is_numbered else ''}{n}" for n in count(2 * is_numbered))
        free = (f"{slot.host}/{label}" for label in chain(first, more))
        names.append(next(name for name in free if name not in taken))
        taken.add(names[-1])
    return names


def heartbeat(c: Connection, service: str, load: Mapping[str, Any] | None = None) -> bool:
    """Record a heartbeat with the host's load; whether the service is to drain."""
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
    """Record that the service has ended."""
    c.execute(
        update(workers)
        .where(workers.c.service == service, workers.c.ended_at.is_(None))
        .values(ended_at=now(c))
    )


def drain(c: Connection, name: str) -> list[str]:
    """Request services to drain, by their name, the name or id of a slot, or their host.

    Returns the services asked; a service drains with all of its slots.
    """
    access.change(c, "drain", name, needs=Scope.ADMIN)
    columns = (workers.c.service, workers.c.name, workers.c.id, workers.c.host)
    is_named = or_(*(column == name for column in columns))
    statement = (
        update(workers)
        .where(is_named, workers.c.ended_at.is_(None))
        .values(is_draining=True)
        .returning(workers.c.service)
    )
    services = sorted(set(c.scalars(statement)))
    if not services:
        raise NotFoundError(f"there is no live worker {name!r}; `fitfleet workers` lists them")
    for service in services:
        events.add(c, "draining", worker=service)
    return services


def live(c: Connection, alive_s: float) -> list[dict[str, Any]]:
    """The slots whose last heartbeat is at most `alive_s` seconds old."""
    query = (
        select(workers)
        .where(workers.c.ended_at.is_(None), workers.c.heartbeat_at > now(c) - alive_s)
        .order_by(workers.c.id)
    )
    return [dict(row._mapping) for row in c.execute(query)]
