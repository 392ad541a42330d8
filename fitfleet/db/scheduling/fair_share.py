"""Whose turn it is where groups and users have shares of a queue's slots.

Of the groups that have a job which may be sent, those go first that use fewer slots than their
share of what all of these use; of several the one that lacks most: the slots up to its share, and
what it was served too little before, in jobs of mean length. Inside of a group its users take turns
in the same way, and the jobs of a user go in the order of db/scheduling/candidate_order. So each
has had its share of slot-seconds, but for about one job (docs/decisions/0032).

What is served is counted while others wait, from one poll to the next. Who comes back starts where
those are who were there: time without waiting jobs is neither saved nor owed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from fitfleet.db.accounts import groups as group_table
from fitfleet.db.accounts.usage import DEFAULT, slots_by_user
from fitfleet.db.accounts.users import serves_gpus
from fitfleet.db.dialect import upsert
from fitfleet.db.fleet.dispatch_capacity import DispatchCapacity
from fitfleet.db.scheduling.candidate_order import Backlog, Ranked, Room
from fitfleet.db.schema.tables import groups, served_shares, users
from fitfleet.db.session import now

_Rows = Mapping[tuple[str, str], Any]  # of served_shares, by kind and name
# The row with the slot-seconds of all and the jobs that ended: from both a job's mean time.
_JOBS = ("queue", "all")
_MAX_JOBS = 100  # more are halved, so that the mean follows


@dataclass
class Holder:
    """A group or a user with a share of the queue's slots."""

    kind: str  # group, user
    name: str
    shares: float
    slots: int = 0  # in use
    served: float = 0.0  # slot-seconds while others waited, by its shares
    users: list[Holder] = field(default_factory=list)  # of a group
    ranked: Ranked | None = None  # the backlogs of a user
    job_s: float = 0.0  # mean seconds of a job in a slot; 0: not known yet

    def next(self, capacity: DispatchCapacity) -> Backlog | None:
        """The backlog whose first job is its next; None: it has none that may be sent."""
        if self.ranked is not None:
            return self.ranked.next(capacity)
        user = first_of(self.users, capacity)
        return None if user is None else user.next(capacity)

    def is_below(self, level: float) -> bool:
        """Whether it uses fewer slots than its shares times `level`."""
        return self.slots < level * self.shares - 1e-9

    @property
    def is_waiting(self) -> bool:
        """Whether jobs waited as the poll began."""
        return self.ranked is not None or any(user.is_waiting for user in self.users)

    @property
    def has_more(self) -> bool:
        """Whether there may be jobs that were not chosen."""
        of_user = self.ranked is not None and self.ranked.has_more
        return of_user or any(user.has_more for user in self.users)


def first_of(holders: Sequence[Holder], capacity: DispatchCapacity) -> Holder | None:
    """Whose turn it is; None: none has a job that may be sent.

    One of them is always below its share, since one slot more is shared than they use.
    """
    firsts = [(h, backlog) for h in holders if (backlog := h.next(capacity)) is not None]
    waiting = [holder for holder, _ in firsts]
    level = level_of(waiting, 1)
    weight = sum(h.shares for h in waiting)
    mean = sum(h.shares * h.served for h in waiting) / weight if waiting else 0.0

    def rank(pair: tuple[Holder, Backlog]) -> tuple[Any, ...]:
        h, backlog = pair
        owed_s = h.shares * (mean - h.served)
        lacks = level * h.shares - h.slots + (owed_s / h.job_s if h.job_s else 0.0)
        return not h.is_below(level), -round(lacks, 6), backlog.rank

    return min(firsts, key=rank)[0] if firsts else None


def level_of(holders: Iterable[Holder], free: int) -> float:
    """Slots for each share, of those in use and `free` more."""
    weight = sum(holder.shares for holder in holders)
    return (sum(holder.slots for holder in holders) + free) / weight if weight else 0.0


class Shared:
    """Groups and users take turns (candidate_order.Turns)."""

    def __init__(self, holders: Sequence[Holder], of_user: Mapping[str, Holder]) -> None:
        self.groups = holders
        self.of_user = of_user  # their groups, by the name of the user
        self.jobs = (0, 0.0)  # that ended in slots while others waited, and slot-seconds of all

    def next(self, capacity: DispatchCapacity) -> Backlog | None:
        """The first of the group and the user whose turn it is."""
        group = first_of(self.groups, capacity)
        return None if group is None else group.next(capacity)

    def took(self, backlog: Backlog, slots: int) -> None:
        """Count `slots` more slots in use."""
        for holder in self.path(backlog.load.user_name):
            holder.slots += slots

    def path(self, user: str | None) -> tuple[Holder, Holder]:
        """The group and the user."""
        name = user or DEFAULT
        group = self.of_user[name]
        return group, next(holder for holder in group.users if holder.name == name)


def look(c: Connection) -> tuple[float, bool]:
    """The database's time, and whether a group or shares of a user were set: in one statement."""
    has_groups = select(groups.c.name).exists()
    has_shares = select(users.c.name).where(users.c.shares.is_not(None)).exists()
    row = c.execute(select(now(c), has_groups | has_shares)).one()
    return float(row[0]), bool(row[1])


def read(c: Connection, queue: str, at: float, backlogs: Sequence[Backlog]) -> Shared:
    """How groups and users stand, with the backlogs of each."""
    of_users: dict[str, list[Backlog]] = defaultdict(list)
    for backlog in backlogs:
        of_users[backlog.load.user_name or DEFAULT].append(backlog)
    members = {
        row.name: (row.group_name or DEFAULT, 1.0 if row.shares is None else row.shares)
        for row in c.execute(select(users))
    }
    shares = {row.name: row.shares for row in c.execute(select(groups))}
    query = select(served_shares).where(served_shares.c.queue == queue)
    rows = {(row.kind, row.name): row for row in c.execute(query)}
    slots = slots_by_user(c, queue)
    by_group: dict[str, Holder] = {}
    of_user: dict[str, Holder] = {}
    # With what is known of those who were served before, so that nobody starts below them.
    for name in sorted({*slots, *of_users, *(name for kind, name in rows if kind == "user")}):
        group_name, user_shares = members.get(name, (DEFAULT, 1.0))
        group = by_group.setdefault(
            group_name, Holder("group", group_name, shares.get(group_name, 1.0))
        )
        user = Holder("user", name, user_shares, slots.get(name, 0))
        user.ranked = Ranked(of_users[name]) if name in of_users else None
        group.users.append(user)
        group.slots += user.slots
        of_user[name] = group
    jobs = _add_jobs(rows, at, sum(slots.values()))
    job_s = jobs[1] / jobs[0] if jobs[0] else 0.0
    for siblings in (list(by_group.values()), *(group.users for group in by_group.values())):
        _settle(siblings, rows, at, job_s)
    _limit(c, queue, by_group, backlogs, of_user)
    turns = Shared(list(by_group.values()), of_user)
    turns.jobs = jobs
    return turns


def _add_jobs(rows: _Rows, at: float, slots: int) -> tuple[int, float]:
    """Jobs that ended in slots, and slot-seconds, with those since the last poll; a moving mean."""
    before = rows.get(_JOBS)
    of_users = [row for (kind, _), row in rows.items() if kind == "user"]
    ended = max(0, sum(row.slots for row in of_users) - slots)
    jobs = ended + (before.slots if before is not None else 0)
    used_s = sum(row.slots * max(0.0, at - row.at) for row in of_users)
    used_s += before.served if before is not None else 0.0
    if jobs <= _MAX_JOBS:
        return jobs, used_s
    return jobs // 2, used_s * (jobs // 2) / jobs


def _settle(siblings: Sequence[Holder], rows: _Rows, at: float, job_s: float) -> None:
    """Add what each was served since the last poll; who was not there has as much as the least."""
    known = {h.name: rows[h.kind, h.name] for h in siblings if (h.kind, h.name) in rows}
    latest = max((row.at for row in known.values()), default=at)
    for holder in siblings:
        holder.job_s = job_s
        row = known.get(holder.name)
        if row is not None:
            holder.served = row.served + row.slots * max(0.0, at - row.at) / holder.shares
    there = [h for h in siblings if h.name in known and known[h.name].at == latest]
    least = min((holder.served for holder in there), default=0.0)
    for holder in siblings:
        if holder not in there:
            holder.served = max(holder.served, least)


def _limit(
    c: Connection,
    queue: str,
    by_group: Mapping[str, Holder],
    backlogs: Sequence[Backlog],
    of_user: Mapping[str, Holder],
) -> None:
    """Hold the quotas of groups, as the rows of `backlogs` hold those of users."""
    is_limited = groups.c.max_running.is_not(None) | groups.c.gpu_hours.is_not(None)
    if not set(c.scalars(select(groups.c.name).where(is_limited))) & by_group.keys():
        return
    has_gpus = bool(c.execute(select(serves_gpus(queue))).scalar())
    rooms = {
        group.name: Room(0 if has_gpus and not group.has_gpu_time else group.room)
        for group in group_table.listed(c)
    }
    for load in {id(backlog.load): backlog.load for backlog in backlogs}.values():
        load.rooms.append(rooms[of_user[load.user_name or DEFAULT].name])


def record(c: Connection, queue: str, at: float, turns: Shared) -> None:
    """Keep how groups and users stand after a poll, for the next one.

    What they use until then counts only if somebody was left waiting.
    """
    is_contended = any(group.has_more for group in turns.groups)
    rows = []
    for siblings in (turns.groups, *(group.users for group in turns.groups)):
        least = min((h.served for h in siblings if h.is_waiting), default=0.0)
        for h in siblings:
            if h.slots or h.is_waiting:
                served = h.served if h.is_waiting else max(h.served, least)
                values = {"queue": queue, "kind": h.kind, "name": h.name, "served": served}
                rows.append({**values, "slots": h.slots if is_contended else 0, "at": at})
    kind, name = _JOBS
    values = {"queue": queue, "kind": kind, "name": name, "served": turns.jobs[1]}
    rows.append({**values, "slots": turns.jobs[0], "at": at})
    c.execute(upsert(c, served_shares, ["slots", "served", "at"]), rows)


@dataclass(frozen=True)
class Turn:
    """Why another group or user goes before one that waits."""

    kind: str
    name: str
    first: str  # whose turn it is
    slots: int  # in use by the one that waits
    share: float  # of the slots that those who wait use, and of the free ones
    is_above: bool  # it uses its share; else it has been served more for it


def turn_of(turns: Shared, capacity: DispatchCapacity, user: str | None, free: int) -> Turn | None:
    """None if it is the turn of the user and the user's group, or no job of theirs may go."""
    group, user_holder = turns.path(user)
    for member, siblings in ((group, turns.groups), (user_holder, group.users)):
        first = first_of(siblings, capacity)
        if first is None or member.next(capacity) is None:
            return None
        if first is not member:
            waiting = [holder for holder in siblings if holder.next(capacity) is not None]
            share = level_of(waiting, free) * member.shares
            is_above = not member.is_below(level_of(waiting, 1))
            return Turn(member.kind, member.name, first.name, member.slots, share, is_above)
    return None
