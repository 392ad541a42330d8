"""The order in which waiting jobs are chosen: priority, fair share, least recently served, age.

Between experiments a job's priority is what it gained by waiting (dispatch_capacity.Ageing) above
what it has; within one jobs go by the priorities that they have. Where users or groups have
shares, this is the order of each user's jobs, and db/scheduling/fair_share orders the users.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fitfleet.db.fleet.dispatch_capacity import DispatchCapacity


@dataclass
class Room:
    """How many more jobs a user or group may have in flight; None: no limit."""

    left: int | None = None

    def take(self) -> None:
        """One of them is in flight from now."""
        if self.left is not None:
            self.left -= 1


@dataclass
class ExperimentLoad:
    """The load of an experiment while its jobs are chosen."""

    experiment_id: int
    in_flight: int  # dispatched or running
    max_running: int | None
    served: tuple[float, int]  # when it was last served, and its rank in this poll
    user_name: str | None
    rooms: list[Room]  # of its user, and of the user's group

    @property
    def has_room(self) -> bool:
        """Whether experiment, user and group may have one more job in flight."""
        is_below = self.max_running is None or self.in_flight < self.max_running
        return is_below and all(room.left is None or room.left > 0 for room in self.rooms)

    def take(self, served: tuple[float, int]) -> None:
        """One more job is in flight from now."""
        self.in_flight += 1
        self.served = served
        for room in self.rooms:
            room.take()


@dataclass
class Backlog:
    """The first waiting jobs of an experiment with one requirement, best first, as (priority, id).

    The priority is that with what was gained by waiting, by which the first is compared. They are
    read when their turn comes; `first` is the first of them until then.
    """

    load: ExperimentLoad
    requirement: int
    first: tuple[int, int]
    read: Callable[[], deque[tuple[int, int]]]
    needs_bytes: int = 0  # of memory, where that decides where they fit
    candidates: deque[tuple[int, int]] | None = field(default=None, init=False)

    @property
    def rank(self) -> tuple[int, int, tuple[float, int], int, int]:
        """Smallest first: priority, then fair share, then least recently served, then age.

        Within an experiment a larger need of memory comes before age: small jobs fit the rest.
        """
        priority, job_id = self.candidates[0] if self.candidates else self.first
        return -priority, self.load.in_flight, self.load.served, -self.needs_bytes, job_id

    def is_open(self, capacity: DispatchCapacity) -> bool:
        """Whether its first job may be sent, if it has one that is not locked."""
        is_empty = self.candidates is not None and not self.candidates
        return self.load.has_room and capacity.is_open(self.requirement) and not is_empty


class Turns(Protocol):
    """The order of backlogs."""

    def next(self, capacity: DispatchCapacity) -> Backlog | None:
        """The backlog whose first job is sent next; None: there is none."""

    def took(self, backlog: Backlog, slots: int) -> None:
        """A job of it was chosen, for `slots` slots."""


class Ranked:
    """Backlogs by rank.

    Ranks only get worse: of the one that a job is taken from, and of the others of its experiment.
    What is not open stays so.
    """

    def __init__(self, backlogs: Sequence[Backlog]) -> None:
        self._backlogs = backlogs
        self._heap = [(*backlog.rank, i) for i, backlog in enumerate(backlogs)]
        heapq.heapify(self._heap)

    def next(self, capacity: DispatchCapacity) -> Backlog | None:
        """The best that is open."""
        while self._heap:
            i = self._heap[0][-1]
            backlog = self._backlogs[i]
            if not backlog.is_open(capacity):
                heapq.heappop(self._heap)
            elif self._heap[0][:-1] != backlog.rank:  # another backlog of its experiment was served
                heapq.heapreplace(self._heap, (*backlog.rank, i))
            else:
                return backlog
        return None

    def took(self, backlog: Backlog, slots: int) -> None:
        """Its rank, which is worse now, is looked at when it is the first."""

    @property
    def has_more(self) -> bool:
        """Whether there may be jobs that were not chosen."""
        return bool(self._heap)


def choose(turns: Turns, capacity: DispatchCapacity, at: float) -> list[tuple[int, str, Backlog]]:
    """(job id, route, where from) of the jobs to send, in order, while there is capacity."""
    chosen: list[tuple[int, str, Backlog]] = []
    while capacity.total > 0:
        backlog = turns.next(capacity)
        if backlog is None:
            break
        if backlog.candidates is None:
            backlog.candidates = backlog.read()  # which may change whose turn it is
            continue
        if capacity.blocks_others(backlog.requirement):
            break
        _, job_id = backlog.candidates.popleft()
        chosen.append((job_id, capacity.take(backlog.requirement), backlog))
        backlog.load.take((at, len(chosen)))
        turns.took(backlog, capacity.gpus.get(backlog.requirement, 1))
    return chosen
