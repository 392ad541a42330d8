"""How many messages the dispatcher may send: to the shared queue, or to slots with certain labels.

Jobs are told apart by the number of their requirement, which is what they need of a slot. Jobs
that need nothing have requirement 0 and go to the queue that all slots read; the others go to the
route of a group of slots that satisfies their requirement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from fitfleet.db.fleet import device_memory, gangs
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.fleet.live_services import Service
from fitfleet.db.specs.requirements import NOTHING, waited_for
from fitfleet.spec.requirements import gpus_of, measured_memory, missing, route_of

_UNBOUNDED = 2**62


@dataclass(frozen=True)
class Ageing:
    """By how much waiting raises a priority between experiments (ageing_s, ageing_max)."""

    step_s: float = 0.0  # waiting time that raises the priority by one; 0: never
    most: int = 0


@dataclass
class DispatchCapacity:
    """How many more messages may be sent; `take` counts them down."""

    total: int
    rooms: dict[str, int] = field(default_factory=dict)  # by route
    # Requirement -> routes of the slots that satisfy it; requirement 0 is left out.
    routes_of: dict[int, list[str]] = field(default_factory=dict)
    needs: dict[int, int] = field(default_factory=dict)  # requirement -> measured bytes
    gpus: dict[int, int] = field(default_factory=dict)  # requirement -> GPUs, where more than one
    services: dict[str, Service] = field(default_factory=dict)  # by route, where such jobs may go
    sent: int = 0  # messages that wait for slots of those services
    window: int = 1  # messages for each free slot
    ageing: Ageing = Ageing()

    def open_requirements(self) -> list[int]:
        """The requirements whose jobs may be sent."""
        return [
            requirement for requirement in (NOTHING, *self.routes_of) if self.is_open(requirement)
        ]

    def is_open(self, requirement: int) -> bool:
        """Whether one more job with the requirement may be sent."""
        return self.total > 0 and (
            requirement == NOTHING or self._freest_route(requirement) is not None
        )

    def blocks_others(self, requirement: int) -> bool:
        """Whether jobs after one with this requirement must wait until it is sent.

        A job on several GPUs is sent once all earlier messages have been claimed: sent before, it
        would overtake them, and later jobs would overtake it.
        """
        return requirement in self.gpus and self.sent > 0

    def take(self, requirement: int) -> str:
        """Count a job that is sent; the route of its message, empty: the shared queue."""
        self.total -= self.window * self.gpus[requirement] if requirement in self.gpus else 1
        self.sent += requirement not in self.gpus
        route = self._freest_route(requirement) if requirement != NOTHING else None
        if route is not None:
            self.rooms[route] -= 1
        return route or ""

    def _freest_route(self, requirement: int) -> str | None:
        routes = [route for route in self.routes_of.get(requirement, ()) if self.rooms[route] > 0]
        return max(routes, key=lambda route: self.rooms[route], default=None)


def capacity_now(
    c: Connection, load: QueueLoad, window: int, alive_s: float = 60.0
) -> DispatchCapacity:
    """What the dispatcher may send now: for each free slot a window of messages.

    Jobs on several GPUs go to services that were heard of within `alive_s` seconds.
    """
    rooms = {g.route: window * g.free - g.dispatched for g in load.groups}
    waiting = waited_for(c, load.queue)
    needs = _needs(waiting)
    free = device_memory.free_by_route(c, load.queue) if needs else {}
    routes_of = {
        requirement: [
            route for route in routes if needs.get(requirement, 0) <= free.get(route, _UNBOUNDED)
        ]
        for requirement, routes in _routes(waiting, load).items()
    }
    return _with_services(
        c,
        load,
        waiting,
        DispatchCapacity(load.room(window), rooms, routes_of, needs, window=window),
        alive_s,
    )


def _with_services(
    c: Connection,
    load: QueueLoad,
    waiting: Mapping[int, str],
    capacity: DispatchCapacity,
    alive_s: float,
) -> DispatchCapacity:
    """The same, with jobs on several GPUs sent to services instead of groups of slots."""
    gpus = {requirement: gpus_of(document) for requirement, document in waiting.items()}
    gpus = {requirement: count for requirement, count in gpus.items() if count > 1}
    services = gangs.open_services(c, load.queue, alive_s) if gpus else []
    routes_of = capacity.routes_of | {
        requirement: [
            service.route
            for service in services
            if len(service.devices) >= count and not missing(waiting[requirement], service.labels)
        ]
        for requirement, count in gpus.items()
    }
    rooms = capacity.rooms | {service.route: 1 for service in services}
    by_route = {service.route: service for service in services}
    of_slots = {"", *(route_of(load.queue, service.labels) for service in services)}
    shared = load.dispatched - sum(group.dispatched for group in load.groups)
    sent = shared + sum(group.dispatched for group in load.groups if group.route in of_slots)
    return replace(
        capacity,
        rooms=rooms,
        routes_of=_without_empty(routes_of),
        gpus=gpus,
        services=by_route,
        sent=sent,
    )


def unlimited(c: Connection, queue: str, load: QueueLoad | None, limit: int) -> DispatchCapacity:
    """Capacity for the first `limit` jobs of a queue, however busy its live slots are.

    Without a worker every requirement counts as satisfied.
    """
    if load is None:
        return DispatchCapacity(
            limit, {"": _UNBOUNDED}, {requirement: [""] for requirement in waited_for(c, queue)}
        )
    rooms = {group.route: _UNBOUNDED for group in load.groups}
    waiting = waited_for(c, queue)
    return DispatchCapacity(limit, rooms, _routes(waiting, load), _needs(waiting))


def competing(capacity: DispatchCapacity, requirement: int) -> DispatchCapacity:
    """Only the requirements that are satisfied by some of the same slots as this one."""
    if requirement == NOTHING:
        return capacity
    wanted = set(capacity.routes_of.get(requirement, ()))
    routes_of = {
        other: routes for other, routes in capacity.routes_of.items() if wanted & set(routes)
    }
    return replace(capacity, routes_of=routes_of)


def with_room(waiting: DispatchCapacity, now: DispatchCapacity) -> DispatchCapacity:
    """Only the requirements of jobs that may be sent now."""
    routes_of = {
        requirement: routes
        for requirement, routes in waiting.routes_of.items()
        if now.is_open(requirement)
    }
    return replace(waiting, routes_of=routes_of)


def on_route(capacity: DispatchCapacity, route: str) -> DispatchCapacity:
    """Only the requirements that the slots of one route satisfy."""
    routes_of = {
        requirement: [route]
        for requirement, routes in capacity.routes_of.items()
        if route in routes
    }
    return replace(capacity, routes_of=routes_of)


def unmet_requirements(c: Connection, load: QueueLoad) -> list[int]:
    """The requirements of waiting jobs that no live slot of the queue satisfies."""
    waiting = waited_for(c, load.queue)
    return sorted(waiting.keys() - _routes(waiting, load).keys())


def _needs(waiting: Mapping[int, str]) -> dict[int, int]:
    measured = {requirement: measured_memory(document) for requirement, document in waiting.items()}
    return {requirement: max(sizes.values()) for requirement, sizes in measured.items() if sizes}


def _routes(waiting: Mapping[int, str], load: QueueLoad) -> dict[int, list[str]]:
    return _without_empty(
        {
            requirement: [g.route for g in load.groups if g.route and not g.lacks(document)]
            for requirement, document in waiting.items()
        }
    )


def _without_empty(requirements: dict[int, list[str]]) -> dict[int, list[str]]:
    return {requirement: routes for requirement, routes in requirements.items() if routes}
