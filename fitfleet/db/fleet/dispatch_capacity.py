"""How many messages may go where: to the shared queue, or to slots with certain labels.

Jobs that ask the same of a slot are a line of their own, by the number of what they ask. What asks
for nothing is line 0, whose messages go to the queue that all slots read; those of another line go
to the route of a group of slots where they fit.
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

    step_s: float = 0.0  # for so long one priority; 0: never
    most: int = 0


@dataclass
class Places:
    """Room for messages, as it is taken."""

    total: int
    rooms: dict[str, int] = field(default_factory=dict)  # by route
    lines: dict[int, list[str]] = field(default_factory=dict)  # routes where each fits, 0 left out
    needs: dict[int, int] = field(default_factory=dict)  # bytes that a line was measured to need
    gpus: dict[int, int] = field(default_factory=dict)  # of lines whose jobs want several
    services: dict[str, Service] = field(default_factory=dict)  # by route, where such jobs may go
    sent: int = 0  # messages that wait for slots of those services
    window: int = 1  # messages for each free slot
    ageing: Ageing = Ageing()

    def open_lines(self) -> list[int]:
        """The lines that a job may be taken from."""
        return [line for line in (NOTHING, *self.lines) if self.is_open(line)]

    def is_open(self, line: int) -> bool:
        """Whether one more job of the line may be sent."""
        return self.total > 0 and (line == NOTHING or self._roomiest(line) is not None)

    def holds_up(self, line: int) -> bool:
        """Whether nothing may be sent past a job of the line, although that is not sent yet.

        One on several GPUs keeps slots once what was sent before it has been taken: it would
        overtake that, and what comes after would overtake it.
        """
        return line in self.gpus and self.sent > 0

    def take(self, line: int) -> str:
        """Take the place of a job of an open line; the route of its message, empty: the queue."""
        self.total -= self.window * self.gpus[line] if line in self.gpus else 1
        self.sent += line not in self.gpus
        route = self._roomiest(line) if line != NOTHING else None
        if route is not None:
            self.rooms[route] -= 1
        return route or ""

    def _roomiest(self, line: int) -> str | None:
        routes = [route for route in self.lines.get(line, ()) if self.rooms[route] > 0]
        return max(routes, key=lambda route: self.rooms[route], default=None)


def places(c: Connection, load: QueueLoad, window: int, alive_s: float = 60.0) -> Places:
    """What the dispatcher may send now: for each free slot a window of messages.

    Jobs on several GPUs go to services that were heard of within `alive_s` seconds.
    """
    rooms = {g.route: window * g.free - g.dispatched for g in load.groups}
    waiting = waited_for(c, load.queue)
    needs = _needs(waiting)
    free = device_memory.free_by_route(c, load.queue) if needs else {}
    lines = {
        line: [route for route in routes if needs.get(line, 0) <= free.get(route, _UNBOUNDED)]
        for line, routes in _lines(waiting, load).items()
    }
    return _with_services(
        c, load, waiting, Places(load.room(window), rooms, lines, needs, window=window), alive_s
    )


def _with_services(
    c: Connection, load: QueueLoad, waiting: Mapping[int, str], places: Places, alive_s: float
) -> Places:
    """The same, with lines of several GPUs for services instead of groups of slots."""
    gpus = {line: gpus_of(document) for line, document in waiting.items()}
    gpus = {line: count for line, count in gpus.items() if count > 1}
    services = gangs.open_services(c, load.queue, alive_s) if gpus else []
    lines = places.lines | {
        line: [
            service.route
            for service in services
            if len(service.devices) >= count and not missing(waiting[line], service.labels)
        ]
        for line, count in gpus.items()
    }
    rooms = places.rooms | {service.route: 1 for service in services}
    by_route = {service.route: service for service in services}
    of_slots = {"", *(route_of(load.queue, service.labels) for service in services)}
    shared = load.dispatched - sum(group.dispatched for group in load.groups)
    sent = shared + sum(group.dispatched for group in load.groups if group.route in of_slots)
    return replace(
        places, rooms=rooms, lines=_fitting(lines), gpus=gpus, services=by_route, sent=sent
    )


def ahead(c: Connection, queue: str, load: QueueLoad | None, limit: int) -> Places:
    """The first `limit` jobs of a queue, for as much room as they need on the slots that live.

    Without any worker nothing is known of what fits: every line is open.
    """
    if load is None:
        return Places(limit, {"": _UNBOUNDED}, {line: [""] for line in waited_for(c, queue)})
    rooms = {group.route: _UNBOUNDED for group in load.groups}
    waiting = waited_for(c, queue)
    return Places(limit, rooms, _lines(waiting, load), _needs(waiting))


def against(places: Places, line: int) -> Places:
    """Those lines only that want the same slots as jobs of this one."""
    if line == NOTHING:
        return places
    wanted = set(places.lines.get(line, ()))
    lines = {other: routes for other, routes in places.lines.items() if wanted & set(routes)}
    return replace(places, lines=lines)


def open_now(waiting: Places, now: Places) -> Places:
    """Those lines only that have room now."""
    lines = {line: routes for line, routes in waiting.lines.items() if now.is_open(line)}
    return replace(waiting, lines=lines)


def on_route(places: Places, route: str) -> Places:
    """Those lines only that may be sent to the slots of one route, and what asks for nothing."""
    lines = {line: [route] for line, routes in places.lines.items() if route in routes}
    return replace(places, lines=lines)


def unfit_lines(c: Connection, load: QueueLoad) -> list[int]:
    """The lines of waiting jobs that fit no live slot of the queue."""
    waiting = waited_for(c, load.queue)
    return sorted(waiting.keys() - _lines(waiting, load).keys())


def _needs(waiting: Mapping[int, str]) -> dict[int, int]:
    measured = {line: measured_memory(document) for line, document in waiting.items()}
    return {line: max(sizes.values()) for line, sizes in measured.items() if sizes}


def _lines(waiting: Mapping[int, str], load: QueueLoad) -> dict[int, list[str]]:
    return _fitting(
        {
            line: [g.route for g in load.groups if g.route and not g.lacks(document)]
            for line, document in waiting.items()
        }
    )


def _fitting(lines: dict[int, list[str]]) -> dict[int, list[str]]:
    return {line: routes for line, routes in lines.items() if routes}
