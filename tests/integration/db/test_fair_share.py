"""Shares of users and groups: whose turn it is, what is served over time, and bad input."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from support.parts import sampled
from support.rows import dispatch, insert_many, register, take
from support.statements import statements
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.db.accounts import groups, users
from fitfleet.db.actor import Actor, Scope, acting
from fitfleet.db.attempts import leases
from fitfleet.db.jobs import experiments
from fitfleet.db.reading import gauges
from fitfleet.db.scheduling import reservations
from fitfleet.db.schema.tables import audit, jobs, served_shares
from fitfleet.db.schema.tables import experiments as experiment_table
from fitfleet.db.session import Database, read_clock
from fitfleet.errors import AccessError, NotFoundError
from fitfleet.scheduler.explain import explain
from fitfleet.scheduler.exposition import Exposition
from fitfleet.settings import Settings
from fitfleet.states import JobStatus


def fill(database: Database, user: str, count: int, experiment: str = "", **job: Any) -> list[int]:
    """Waiting jobs of a user."""
    with acting(Actor(user, Scope.SUBMIT, "00000000")):
        return insert_many(database, count, experiment=experiment or f"of {user}", **job)


def group(database: Database, name: str, *members: str, **values: float | None) -> None:
    with database.begin() as c:
        groups.set_group(c, name, **values)
        for member in members:
            groups.set_share(c, member, group=name)


def share(database: Database, user: str, **values: str | float | None) -> None:
    with database.begin() as c:
        groups.set_share(c, user, **values)


def pass_time(database: Database, seconds: float) -> None:
    """Let so long a time be since the last dispatch, however long this machine took."""
    with database.begin() as c:
        latest = sa.select(sa.func.max(served_shares.c.at)).scalar_subquery()
        which = served_shares.c.at == latest
        c.execute(sa.update(served_shares).where(which).values(at=read_clock(c) - seconds))


def owners(database: Database, ids: list[int]) -> list[str]:
    """The users of these jobs."""
    query = (
        sa.select(jobs.c.id, experiment_table.c.user_name)
        .join(experiment_table, experiment_table.c.id == jobs.c.experiment_id)
        .where(jobs.c.id.in_(ids))
    )
    with database.read() as c:
        by_id = {row.id: row.user_name for row in c.execute(query)}
    return [by_id[job_id] for job_id in ids]


def served(database: Database, limit: int) -> list[str]:
    """Dispatch so many; whose they are, in order."""
    return owners(database, [job_id for job_id, _ in dispatch(database, limit)])


def finish(database: Database, job_id: int) -> None:
    with database.begin() as c:
        c.execute(sa.update(jobs).where(jobs.c.id == job_id).values(status=JobStatus.SUCCEEDED))


def occupy(database: Database, count: int) -> int:
    """Let as many slots run a job each; how many did."""
    with database.read() as c:
        is_running = jobs.c.status == JobStatus.RUNNING
        begun = c.scalar(sa.select(sa.func.count()).select_from(jobs).where(is_running)) or 0
    claims = take(database, count)
    with database.begin() as c:
        for number, claim in enumerate(claims, begun):
            values = {"owner": f"host:1:{number}"}
            c.execute(sa.update(jobs).where(jobs.c.id == claim.job_id).values(values))
    return len(claims)


def test_without_shares_users_do_not_take_turns(database: Database) -> None:
    """Experiments do, however many one user has; a quota alone changes nothing."""
    for name in ("a", "b", "c"):
        fill(database, "ana", 2, name)
    fill(database, "bob", 2)
    with database.begin() as c:
        users.set_quota(c, "ana", max_running=99)
    assert served(database, 4) == ["ana", "ana", "ana", "bob"]
    with database.read() as c:
        assert c.execute(sa.select(served_shares)).all() == []
        assert groups.listed(c) == []


def test_without_shares_nothing_more_is_asked(database: Database) -> None:
    for user in ("ana", "bob"):
        fill(database, user, 3)
    with statements(database) as asked:
        assert len(dispatch(database, 2)) == 2
    assert sum("fleet_groups" in statement for statement in asked) == 1
    assert not any("served_shares" in statement for statement in asked)
    # The ranking, the jobs of two experiments, two updates, and the time; the lock of PostgreSQL.
    assert len([s for s in asked if "served_shares" not in s]) <= 9


def test_groups_take_turns_by_their_shares(database: Database) -> None:
    group(database, "lab", "ana", shares=3)
    group(database, "bio", "bob")
    fill(database, "ana", 9)
    fill(database, "bob", 9)
    assert Counter(served(database, 8)) == {"ana": 6, "bob": 2}


def test_users_take_turns_inside_of_their_group(database: Database) -> None:
    group(database, "lab", "ana", "cleo", shares=2)
    group(database, "bio", "bob")
    share(database, "cleo", shares=3.0)
    for user in ("ana", "bob", "cleo"):
        fill(database, user, 20)
    assert Counter(served(database, 12)) == {"ana": 2, "cleo": 6, "bob": 4}


def test_users_without_a_group_are_a_group(database: Database) -> None:
    group(database, "lab", "ana")
    group(database, "default", shares=2)
    for user in ("ana", "bob", "cleo"):
        fill(database, user, 20)
    assert Counter(served(database, 9)) == {"ana": 3, "bob": 3, "cleo": 3}


def test_jobs_of_nobody_are_of_the_default_user(database: Database) -> None:
    share(database, "default", shares=3.0)
    fill(database, "ana", 9)
    fill(database, "gone", 9)
    with database.begin() as c:
        of_gone = experiment_table.c.user_name == "gone"
        c.execute(sa.update(experiment_table).where(of_gone).values(user_name=None))
    assert [str(user) for user in served(database, 8)].count("None") == 6


def test_a_priority_orders_the_jobs_of_one_user(database: Database) -> None:
    share(database, "ana", shares=1.0)
    low = fill(database, "ana", 2, "low")
    high = fill(database, "ana", 2, "high", priority=9)
    fill(database, "bob", 4)
    sent = [job_id for job_id, _ in dispatch(database, 4)]
    assert Counter(owners(database, sent)) == {"ana": 2, "bob": 2}
    assert set(high) <= set(sent) and not set(low) & set(sent)


def test_a_group_without_waiting_jobs_gives_its_share_to_the_others(database: Database) -> None:
    group(database, "lab", "ana", shares=5)
    group(database, "bio", "bob", shares=2)
    group(database, "geo", "cleo")
    fill(database, "bob", 20)
    fill(database, "cleo", 20)
    assert Counter(served(database, 9)) == {"bob": 6, "cleo": 3}
    fill(database, "ana", 20)
    assert served(database, 5) == ["ana"] * 5


def test_a_cohort_counts_as_one_slot(database: Database) -> None:
    register(database, 2)
    share(database, "ana", shares=1.0)
    fill(database, "ana", 8, fuse_key="f")
    ((job_id, seq),) = dispatch(database, 1)
    with database.begin() as c:
        leader = leases.claim(c, job_id, seq, "host:1:0", 60.0)
        assert leader is not None
        assert len(reservations.reserve(c, leader, 60.0, 5)) == 5
    fill(database, "bob", 4)
    assert Counter(served(database, 3)) == {"bob": 2, "ana": 1}
    with database.read() as c:
        rows = c.exec_driver_sql("SELECT name, slots, in_flight FROM shares ORDER BY name, kind")
        assert [tuple(row) for row in rows] == [
            ("ana", 2, 7),
            ("bob", 2, 2),
            ("default", 4, 9),
        ]


def test_another_queue_is_shared_by_itself(database: Database) -> None:
    share(database, "ana", shares=1.0)
    fill(database, "ana", 4)
    dispatch(database, 4)
    fill(database, "ana", 4, "gpu of ana", queue="gpu")
    fill(database, "bob", 4, queue="gpu")
    sent = [job_id for job_id, _ in dispatch(database, 4, "gpu")]
    assert Counter(owners(database, sent)) == {"ana": 2, "bob": 2}


def test_one_slot_is_shared_over_time(database: Database) -> None:
    """Slots in use alone would serve two that are equal in turn, whatever their shares."""
    group(database, "lab", "ana", shares=3)
    group(database, "bio", "bob")
    fill(database, "ana", 20)
    fill(database, "bob", 20)
    line = ""
    for _ in range(16):
        ((job_id, _),) = dispatch(database, 1)
        line += owners(database, [job_id])[0][0]
        pass_time(database, 10.0)
        finish(database, job_id)
    assert Counter(line) == {"a": 12, "b": 4}
    for count in range(1, 17):
        assert abs(line[:count].count("a") - 0.75 * count) <= 1.0


def test_who_comes_back_is_owed_nothing(database: Database) -> None:
    group(database, "lab", "ana")
    group(database, "bio", "bob")
    fill(database, "ana", 30)
    for _ in range(10):
        ((job_id, _),) = dispatch(database, 1)
        pass_time(database, 10.0)
        finish(database, job_id)
    fill(database, "bob", 10)
    line = ""
    for _ in range(8):
        ((job_id, _),) = dispatch(database, 1)
        line += owners(database, [job_id])[0][0]
        pass_time(database, 10.0)
        finish(database, job_id)
    assert sorted(line) == list("aaaabbbb") and "bbb" not in line


class Fleet:
    """Random groups with users that always have waiting jobs, and slots that take them."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.choose = database, random.Random(seed)
        self.slots = self.choose.randint(1, 6)
        self.shares: dict[str, dict[str, float]] = {}
        self.weights: dict[str, float] = {}
        for number in range(self.choose.randint(2, 3)):
            self._add(f"g{number}")
        self.running: dict[int, float] = {}  # job -> seconds that it still takes
        self.got: dict[str, float] = defaultdict(float)  # user -> slot-seconds
        self.seconds = 0.0

    def _add(self, name: str) -> None:
        self.weights[name] = self.choose.choice([1.0, 1.0, 2.0, 3.0])
        group(self.database, name, shares=self.weights[name])
        self.shares[name] = {}
        for number in range(self.choose.randint(1, 2)):
            user = f"{name}-u{number}"
            self.shares[name][user] = self.choose.choice([1.0, 1.0, 2.5])
            share(self.database, user, group=name, shares=self.shares[name][user])
            for experiment in range(self.choose.randint(1, 2)):
                fill(self.database, user, 60, f"{user}-{experiment}")

    def step(self, longest_s: float) -> None:
        """Fill the slots, and let the job end that ends first."""
        free = self.slots - len(self.running)
        sent = [job_id for job_id, _ in dispatch(self.database, free)]
        assert len(sent) == free
        self.running |= {job_id: self.choose.uniform(longest_s / 9, longest_s) for job_id in sent}
        passed = min(self.running.values())
        whose = owners(self.database, list(self.running))
        for user in whose:
            self.got[user] += passed
        pass_time(self.database, passed)
        self.seconds += passed
        for job_id in list(self.running):
            self.running[job_id] -= passed
            if self.running[job_id] <= 1e-9:
                finish(self.database, job_id)
                del self.running[job_id]

    def errors(self) -> Iterator[float]:
        """Slot-seconds of each group more than its shares, and of each user of a group."""
        total = self.slots * self.seconds
        for name, of_users in self.shares.items():
            of_group = sum(self.got[user] for user in of_users)
            yield of_group - total * self.weights[name] / sum(self.weights.values())
            for user, weight in of_users.items():
                yield self.got[user] - of_group * weight / sum(of_users.values())


@pytest.mark.parametrize("seed", sampled("01234567", "2"))
def test_slot_time_follows_the_shares_within_a_job(database: Database, seed: str) -> None:
    fleet = Fleet(database, int(seed))
    worst = 0.0
    for _ in range(50):
        fleet.step(90.0)
        worst = max(worst, *(abs(error) for error in fleet.errors()))
    assert fleet.seconds > 300.0
    assert worst <= 90.0 * 1.05  # some for the time that the test itself takes


def test_a_group_stays_within_its_quota(database: Database) -> None:
    register(database, 9)
    group(database, "lab", "ana", "cleo", max_running=3)
    for user in ("ana", "cleo"):
        fill(database, user, 4)
    ids = fill(database, "bob", 2)
    sent = served(database, 9)
    assert Counter(sent)["bob"] == 2 and len(sent) == 5
    assert served(database, 9) == []
    with database.read() as c:
        (lab, rest) = groups.listed(c)
        assert (lab.name, lab.in_flight, lab.slots, lab.users) == ("lab", 3, 3, 2)
        assert (rest.name, rest.in_flight) == ("default", 2)
        assert gauges.waiting_by_reason(c, 60.0)["cpu", "quota"][0] == 5
    group(database, "lab", max_running=None)
    assert len(served(database, 9)) == 5 and ids


def test_a_cohort_stays_within_the_quota_of_the_group(database: Database) -> None:
    register(database, 4)
    group(database, "lab", "ana", max_running=3)
    fill(database, "ana", 8, fuse_key="f")
    ((job_id, seq),) = dispatch(database, 1)
    with database.begin() as c:
        leader = leases.claim(c, job_id, seq, "host:1:0", 60.0)
        assert leader is not None
        assert len(reservations.reserve(c, leader, 60.0, 64)) == 2


def test_why_names_the_quota_of_the_group(database: Database, valkey_url: str) -> None:
    register(database, 9)
    group(database, "lab", "ana", "cleo", max_running=2)
    fill(database, "ana", 2)
    dispatch(database, 9)
    (job_id,) = fill(database, "cleo", 1)
    found = explain(database, Settings(broker_url=valkey_url), job_id)
    assert [reason.kind for reason in found.reasons] == ["quota"]
    assert "group 'lab', whose users may have 2 jobs in flight and have 2" in str(found)


def test_why_names_the_share(database: Database, valkey_url: str) -> None:
    settings = Settings(broker_url=valkey_url)
    register(database, 8)
    group(database, "lab", "ana", "cleo")
    group(database, "bio", "bob")
    fill(database, "ana", 6)
    occupy(database, 6)
    mine = fill(database, "ana", 9, "more")
    fill(database, "bob", 9)
    found = explain(database, settings, mine[-1])
    assert [reason.kind for reason in found.reasons] == ["share", "line"]
    assert (
        "is of group 'lab', which uses 6 slots of queue 'cpu' and has a share of 3.5 among those"
        " that wait; group 'bio' goes first" in str(found)
    )
    occupy(database, 2)
    (hers,) = fill(database, "cleo", 1)
    with database.begin() as c:
        experiments.pause(c, "of bob")
    found = explain(database, settings, mine[0])
    assert [reason.kind for reason in found.reasons] == ["busy", "share", "line"]
    assert "is of user 'ana', which uses 6 slots of queue 'cpu' and has a share of 3" in str(found)
    assert explain(database, settings, hers).before == ()


@pytest.mark.parametrize("seed", sampled("012345", "1"))
def test_the_dispatcher_then_serves_whom_why_has_named(
    database: Database, valkey_url: str, seed: str
) -> None:
    """Who is said to go first is whose job is dispatched next, and no other waits without it."""
    choose, settings = random.Random(int(seed)), Settings(broker_url=valkey_url, window=1)
    free = choose.randint(1, 3)
    of = {"ana": "lab", "cleo": "lab", "bob": "bio", "dan": "default"}
    group(database, "lab", "ana", "cleo", shares=choose.choice([1, 2, 5]))
    group(database, "bio", "bob")
    for user in of:
        fill(database, user, choose.randint(2, 5))
    busy = occupy(database, choose.randint(1, 6))
    register(database, busy + free)
    pass_time(database, choose.uniform(1.0, 50.0))
    with database.read() as c:
        waiting = list(c.scalars(sa.select(jobs.c.id).where(jobs.c.status == JobStatus.QUEUED)))
    said = {job_id: explain(database, settings, job_id) for job_id in waiting}
    sent = [job_id for job_id, _ in dispatch(database, free)]
    assert sorted(sent) == sorted(i for i in waiting if not said[i].is_held)
    (first,) = owners(database, sent[:1])
    for job_id, user in zip(waiting, owners(database, waiting), strict=True):
        reasons = [r.text for r in said[job_id].reasons if r.kind == "share"]
        if job_id in sent or not reasons:
            assert job_id in sent or of[user] == of[first]
        elif of[user] != of[first]:
            assert f"group {of[first]!r}" in reasons[0]
        else:
            assert f"user {first!r}" in reasons[0]


def test_groups_are_in_the_metrics(database: Database, valkey_url: str) -> None:
    group(database, "lab", "ana", shares=3)
    fill(database, "ana", 2)
    dispatch(database, 1)
    page = Exposition(Settings(broker_url=valkey_url), database).page()
    assert 'fitfleet_group_slots{group="lab"} 1' in page
    assert 'fitfleet_group_shares{group="lab"} 3' in page
    assert 'fitfleet_group_slots{group="default"} 0' in page


def test_the_hours_on_gpus_of_a_group_are_those_of_its_users(database: Database) -> None:
    group(database, "lab", "ana", gpu_hours=0.0)
    with database.begin() as c:
        users.measure(c)
    register(database, 1)
    fill(database, "ana", 1)
    assert served(database, 1) == ["ana"]  # no worker of the queue has a GPU
    with database.read() as c:
        assert not groups.listed(c)[0].has_gpu_time


@pytest.mark.parametrize("shares", [0.0, -1.0, float("nan"), float("inf")])
def test_shares_are_above_zero(database: Database, shares: float) -> None:
    with pytest.raises(AccessError, match=r"shares: .* is not above 0"):
        group(database, "lab", shares=shares)
    with pytest.raises(AccessError, match=r"shares: .* is not above 0"):
        share(database, "ana", shares=shares)


def test_a_group_that_is_not_there_is_named_with_those_that_are(database: Database) -> None:
    with pytest.raises(NotFoundError, match=r"no group 'lbs' \(groups: none yet\)"):
        share(database, "ana", group="lbs")
    group(database, "lab")
    with pytest.raises(NotFoundError, match=r"no group 'lbs' \(groups: lab\)"):
        share(database, "ana", group="lbs")
    with pytest.raises(AccessError, match="is not a name"):
        group(database, "a b")
    with pytest.raises(AccessError, match="have a share in common and no quota"):
        group(database, "default", max_running=1)


def test_a_group_with_users_stays(database: Database) -> None:
    group(database, "lab", "ana")
    message = r"'lab' has users \(ana\).*--group none"
    with pytest.raises(AccessError, match=message), database.begin() as c:
        groups.remove(c, "lab")
    share(database, "ana", group=None)
    with database.begin() as c:
        groups.remove(c, "lab")
        assert groups.listed(c) == []
        actions = [row.action for row in c.execute(sa.select(audit).order_by(audit.c.id))]
    assert actions == ["set group", "set share", "set share", "remove group"]


def test_the_commands_set_and_list(database: Database) -> None:
    """As an admin types them, and what is told of each mistake."""

    def tell(line: str, code: int = 0) -> str:
        url = database.url.render_as_string(hide_password=False)
        done = CliRunner().invoke(app, [*line.split(), "--database-url", url])
        assert done.exit_code == code, done.output
        return done.output

    assert "group lab: 3 shares, 9 jobs at once" in tell("group set lab --shares 3 --max-running 9")
    assert tell("token create --user ana --group lab").startswith("ff_")
    told = tell("user set ana --shares 2")
    assert told.strip().endswith("any number of GPU-hours, 2 of the shares of group lab")
    fill(database, "ana", 2)
    dispatch(database, 1)
    (user,) = json.loads(tell("user list --json"))
    assert (user["user"], user["group"], user["shares"], user["slots"]) == ("ana", "lab", 2.0, 1)
    names = [(row["name"], row["slots"]) for row in json.loads(tell("group list --json"))]
    assert names == [("lab", 1), ("default", 0)]
    assert "there is no group 'lbs' (groups: lab)" in tell("user set ana --group lbs", 2)
    assert "is not above 0" in tell("group set lab --shares 0", 2)
    assert "'lab' has users (ana)" in tell("group remove lab", 2)
    tell("user set ana --group none --shares none")
    assert "group lab is removed" in tell("group remove lab")
    assert json.loads(tell("user list --json"))[0]["group"] is None


def test_only_an_admin_sets_shares(database: Database) -> None:
    for change in (group, share):
        with acting(Actor("ana", Scope.SUBMIT, "00000000")), pytest.raises(AccessError):
            change(database, "lab", shares=2.0)
