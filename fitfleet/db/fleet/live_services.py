"""Worker services that are there, with the devices of their slots."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from fitfleet.db.schema.tables import workers
from fitfleet.db.session import now
from fitfleet.spec.requirements import Labels, service_route


@dataclass(frozen=True)
class Service:
    """A worker service: the slots of a queue on one host that live and end together."""

    name: str
    queue: str
    labels: Labels
    devices: Mapping[str, list[str]]  # the slots of each, in order
    alive_s: float  # it counts as alive for this long after its last heartbeat

    @property
    def route(self) -> str:
        """The Celery queue that it alone reads."""
        return service_route(self.queue, self.name)

    @property
    def slots(self) -> list[str]:
        """All of them."""
        return [slot for slots in self.devices.values() for slot in slots]


def live_services(c: Connection, queue: str, alive_s: float) -> list[Service]:
    """Those of a queue that do not drain, with a heartbeat in the last `alive_s` seconds."""
    query = (
        select(workers)
        .where(
            workers.c.queue == queue,
            workers.c.ended_at.is_(None),
            workers.c.is_draining.is_(False),
            workers.c.heartbeat_at > now(c) - alive_s,
        )
        .order_by(workers.c.service, workers.c.slot)
    )
    devices: dict[str, dict[str, list[str]]] = {}
    labels: dict[str, str] = {}
    for row in c.execute(query):
        devices.setdefault(row.service, {}).setdefault(row.device, []).append(row.id)
        labels[row.service] = row.labels
    return [
        Service(name, queue, json.loads(labels[name]), of_name, alive_s)
        for name, of_name in devices.items()
    ]
