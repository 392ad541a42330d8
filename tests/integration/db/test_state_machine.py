"""A model check of the jobs' state machine: random interleavings against a model in Python.

Workers claim, reserve, begin, hand back, beat, record, finish, fail, release and die; users cancel,
retry, extend, pause; schedulers dispatch, requeue and publish again; old messages and dead workers'
hands stay about and are used later. After each step the rows are those of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from support.rows import age, commit, let_expire, new_job

from fitfleet.db.attempts import checkpoints, ends, leases, metrics
from fitfleet.db.attempts.leases import Artifact, Claim
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.jobs import experiments
from fitfleet.db.jobs import jobs as job_table
from fitfleet.db.scheduling import dispatch, recovery, reservations
from fitfleet.db.schema.tables import attempts, job_specs, jobs, metadata, t_quantiles
from fitfleet.db.schema.tables import metrics as metric_table
from fitfleet.db.session import Database
from fitfleet.states import RETRIED, TRANSITIONS, FailureClass, JobStatus, Request

_MAX_FAILURES = 2
_S = JobStatus


@dataclass
class _Job:
    """What the model knows of a job."""

    status: JobStatus = _S.QUEUED
    dispatch_seq: int = 0
    attempt: int = 0
    owner: str | None = None
    request: str | None = None
    failures: int = 0
    memory_step: int = 0
    epochs: int = 5
    epoch: int = 0
    checkpoint: str | None = None
    artifact: str | None = None
    curve: dict[int, float] = field(default_factory=dict)
    outcomes: list[str | None] = field(default_factory=list)

    def holds(self, claim: Claim) -> bool:
        held = (_S.RUNNING, claim.attempt, claim.worker)
        return (self.status, self.attempt, self.owner) == held

    @property
    def is_reserved(self) -> bool:
        return self.status is _S.DISPATCHED and self.owner is not None

    def has_reserved(self, claim: Claim) -> bool:
        return self.is_reserved and (self.dispatch_seq, self.owner) == (
            claim.reserved_as,
            claim.worker,
        )

    def requeue(self) -> None:
        self.status, self.owner = _S.QUEUED, None

    def take(self, worker: str) -> None:
        self.status, self.owner, self.request = _S.RUNNING, worker, None
        self.attempt += 1
        self.outcomes.append(None)

    def end(self, status: JobStatus, outcome: str) -> None:
        self.status, self.owner, self.request = status, None, None
        self.outcomes[-1] = outcome

    def fail(self, kind: FailureClass) -> None:
        self.failures += 1
        self.memory_step += kind is FailureClass.MEMORY
        is_retried = kind in RETRIED and self.failures < _MAX_FAILURES
        self.end(self.requested(_S.QUEUED) if is_retried else _S.FAILED, kind)

    def requested(self, otherwise: JobStatus) -> JobStatus:
        return {"cancel": _S.CANCELLED, "prune": _S.PRUNED}.get(self.request or "", otherwise)


class Machine(RuleBasedStateMachine):
    """One experiment on one database; each step is one transaction."""

    database: ClassVar[Database]

    messages = Bundle("messages")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[int, _Job] = {}
        self.is_paused = False
        self.contents = 0

    @initialize(target=claims, count=st.integers(2, 4))
    def start(self, count: int) -> Any:
        with self.database.begin() as c:
            for table in reversed(metadata.sorted_tables):
                if table is not t_quantiles:
                    c.execute(table.delete())
        self._insert(count)
        messages = self._dispatch(count - 1)
        return multiple(*(self._claim(message, "w1") for message in messages))

    def _insert(self, count: int) -> None:
        rows = [
            new_job(f"c{self.contents + i}", fuse_key="k", max_failures=_MAX_FAILURES)
            for i in range(count)
        ]
        self.contents += count
        with self.database.begin() as c:
            inserted = job_table.insert(c, rows)
        assert all(is_new for _, is_new in inserted)
        self.jobs.update({job_id: _Job() for job_id, _ in inserted})

    def _any(self, data: Any) -> int:
        return int(data.draw(st.sampled_from(sorted(self.jobs))))

    # users

    @rule()
    def submit(self) -> None:
        if len(self.jobs) < 6:
            self._insert(1)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        job_id = self._any(data)
        job = self.jobs[job_id]
        with self.database.begin() as c:
            was = job_table.cancel(c, job_id)
        if job.status in (_S.QUEUED, _S.DISPATCHED):
            job.status, job.owner = _S.CANCELLED, None
        elif job.status is _S.RUNNING:
            job.request = Request.CANCEL
        assert was is job.status

    @rule(data=st.data(), request=st.sampled_from([Request.PRUNE, Request.RELEASE]))
    def ask(self, data: Any, request: Request) -> None:
        job_id = self._any(data)
        job = self.jobs[job_id]
        with self.database.begin() as c:
            is_taken = job_table.request(c, job_id, request)
        assert is_taken is (job.status is _S.RUNNING and job.request != Request.CANCEL)
        if is_taken:
            job.request = request

    @rule(data=st.data())
    def retry(self, data: Any) -> None:
        job_id = self._any(data)
        job = self.jobs[job_id]
        with self.database.begin() as c:
            is_retried = job_table.retry(c, job_id)
        assert is_retried is (job.status in (_S.FAILED, _S.CANCELLED, _S.PRUNED))
        if is_retried:
            job.status, job.failures, job.request = _S.QUEUED, 0, None
            job.memory_step = 0

    @rule(data=st.data())
    def extend(self, data: Any) -> None:
        job_id = self._any(data)
        job = self.jobs[job_id]
        with self.database.begin() as c:
            is_extended = job_table.extend(c, job_id, job.epochs + 1)
        assert is_extended is (job.status is _S.SUCCEEDED)
        if is_extended:
            job.status, job.failures, job.request = _S.QUEUED, 0, None
            if not (job.checkpoint or "").endswith(f"/{job.epoch}"):
                job.checkpoint = job.artifact  # there is no checkpoint of the last epoch
            job.epochs += 1

    @rule(is_paused=st.booleans())
    def pause(self, is_paused: bool) -> None:
        with self.database.begin() as c:
            (experiments.pause if is_paused else experiments.resume)(c, "digits")
        self.is_paused = is_paused
        for job in self.jobs.values() if is_paused else ():
            if job.status is _S.DISPATCHED:
                job.requeue()
            elif job.status is _S.RUNNING and job.request is None:
                job.request = Request.RELEASE

    # the scheduler

    @rule(target=messages, limit=st.integers(1, 3))
    def dispatch(self, limit: int) -> Any:
        return multiple(*self._dispatch(limit))

    def _dispatch(self, limit: int) -> list[tuple[int, int]]:
        with self.database.begin() as c:
            age(c, list(self.jobs), 1000.0)
            messages = dispatch.dispatch(c, "cpu", limit)
        waiting = [i for i, job in sorted(self.jobs.items()) if job.status is _S.QUEUED]
        expected = [] if self.is_paused else waiting[:limit]
        assert [job_id for job_id, _ in messages] == expected
        for job_id, dispatch_seq in messages:
            job = self.jobs[job_id]
            job.status = _S.DISPATCHED
            job.dispatch_seq += 1
            assert job.dispatch_seq == dispatch_seq
        return messages

    @rule()
    def redispatch(self) -> None:
        with self.database.begin() as c:
            age(c, list(self.jobs), 1000.0)
            messages = dispatch.redispatch(c, "cpu", 5.0)
        expected = [
            i
            for i, job in sorted(self.jobs.items())
            if job.status is _S.DISPATCHED and not job.is_reserved
        ]
        assert sorted(messages) == expected
        for job_id in messages:
            self.jobs[job_id].status = _S.QUEUED

    @rule(data=st.data())
    def requeue_expired(self, data: Any) -> None:
        running = [i for i, job in sorted(self.jobs.items()) if job.owner is not None]
        dead = data.draw(st.lists(st.sampled_from(running), unique=True)) if running else []
        with self.database.begin() as c:
            let_expire(c, dead)
            requeued = recovery.requeue_expired(c, 0.0)
        assert sorted(requeued) == sorted(dead)
        for job_id in dead:
            if self.jobs[job_id].is_reserved:
                self.jobs[job_id].requeue()
            else:
                self.jobs[job_id].fail(FailureClass.LOST)

    # workers; a message or a claim may be old, from long ago

    @rule(target=claims, message=messages, worker=st.sampled_from(["w1", "w1", "w2"]))
    def claim(self, message: tuple[int, int], worker: str) -> Any:
        return self._claim(message, worker)

    @rule(target=claims, message=consumes(messages), worker=st.sampled_from(["w1", "w1", "w2"]))
    def claim_and_drop_the_message(self, message: tuple[int, int], worker: str) -> Any:
        return self._claim(message, worker)

    def _claim(self, message: tuple[int, int], worker: str) -> Any:
        job = self.jobs[message[0]]
        with self.database.begin() as c:
            claim = leases.claim(c, *message, worker, 60.0)
        is_due = job.status is _S.DISPATCHED and job.dispatch_seq == message[1]
        assert (claim is not None) is is_due
        if claim is None:
            return multiple()
        job.take(worker)
        assert (claim.attempt, claim.checkpoint_path) == (job.attempt, job.checkpoint)
        return claim

    @rule(target=claims, leader=claims, limit=st.integers(1, 3))
    def reserve(self, leader: Claim, limit: int) -> Any:
        with self.database.begin() as c:
            age(c, list(self.jobs), 1000.0)
            reserved = reservations.reserve(c, leader, 60.0, limit)
        waiting = [
            i
            for i, job in sorted(
                self.jobs.items(), key=lambda item: (item[1].status is _S.DISPATCHED, item[0])
            )
            if job.status in (_S.QUEUED, _S.DISPATCHED)
            and not job.is_reserved
            and job.memory_step == 0
            and job.failures == 0
        ]
        is_alone = self.is_paused or leader.failures > 0
        assert [claim.job_id for claim in reserved] == ([] if is_alone else sorted(waiting[:limit]))
        for claim in reserved:
            job = self.jobs[claim.job_id]
            job.status, job.owner = _S.DISPATCHED, leader.worker
            job.dispatch_seq += 1
            assert (claim.attempt, claim.reserved_as) == (job.attempt + 1, job.dispatch_seq)
        return multiple(*reserved)

    @rule(held=st.lists(claims, max_size=3))
    def begin(self, held: list[Claim]) -> None:
        held = [claim for claim in held if held and claim.worker == held[0].worker]
        with self.database.begin() as c:
            started = reservations.begin(c, held, 60.0)
        begun = {claim.key for claim in held if self.jobs[claim.job_id].has_reserved(claim)}
        assert started == begun
        for claim in held:
            if self.jobs[claim.job_id].has_reserved(claim):
                self.jobs[claim.job_id].take(claim.worker)

    @rule(held=st.lists(claims, max_size=3))
    def hand_back(self, held: list[Claim]) -> None:
        with self.database.begin() as c:
            returned = reservations.hand_back(c, held)
        given = {claim.key: claim for claim in held if self.jobs[claim.job_id].has_reserved(claim)}
        assert returned == set(given)
        for claim in given.values():
            self.jobs[claim.job_id].requeue()

    @rule(held=st.lists(claims, max_size=3))
    def beat(self, held: list[Claim]) -> None:
        with self.database.begin() as c:
            heard = leases.heartbeat(c, held, 60.0)
        assert heard == {
            (claim.job_id, claim.attempt): self.jobs[claim.job_id].request
            for claim in held
            if self.jobs[claim.job_id].holds(claim) or self.jobs[claim.job_id].has_reserved(claim)
        }

    @rule(claim=claims, epoch=st.integers(1, 6))
    def record(self, claim: Claim, epoch: int) -> None:
        job = self.jobs[claim.job_id]
        value = claim.attempt + epoch / 100
        with self.database.begin() as c:
            held = metrics.record(c, [EpochMetrics(claim, epoch, {"loss": value})])
            is_kept = checkpoints.checkpoint(c, claim, f"{claim.attempt}/{epoch}", epoch)
        assert bool(held) is is_kept is job.holds(claim)
        if is_kept:
            job.epoch, job.checkpoint = epoch, f"{claim.attempt}/{epoch}"
            job.curve[epoch] = value

    @rule(claim=claims)
    def finish(self, claim: Claim) -> None:
        job = self.jobs[claim.job_id]
        artifact = Artifact(f"{claim.attempt}.h5", "0" * 64, 1)
        is_again = (job.status, job.attempt) == (_S.SUCCEEDED, claim.attempt)
        with self.database.begin() as c:
            won = commit(c, claim, artifact, epoch=job.epochs, seconds=1.0)
        assert won is (job.holds(claim) or is_again)
        if won and not is_again:
            job.end(_S.SUCCEEDED, "succeeded")
            job.epoch, job.artifact = job.epochs, artifact.path
            job.curve = {e: v for e, v in job.curve.items() if e <= job.epochs}

    @rule(claim=claims, kind=st.sampled_from(sorted(FailureClass)))
    def fail(self, claim: Claim, kind: FailureClass) -> None:
        job = self.jobs[claim.job_id]
        with self.database.begin() as c:
            won = ends.fail(c, claim, kind, "it failed", backoff_s=0.0)
        assert won is job.holds(claim)
        if won:
            job.fail(kind)

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        job = self.jobs[claim.job_id]
        with self.database.begin() as c:
            won = ends.release(c, claim, seconds=1.0)
        assert won is job.holds(claim)
        if won:
            becomes = job.requested(_S.QUEUED)
            job.end(becomes, "released" if becomes is _S.QUEUED else becomes.lower())

    @rule(claim=claims, status=st.sampled_from([_S.CANCELLED, _S.PRUNED]))
    def stop(self, claim: Claim, status: JobStatus) -> None:
        job = self.jobs[claim.job_id]
        with self.database.begin() as c:
            won = ends.stop(c, claim, status, seconds=1.0)
        assert won is job.holds(claim)
        if won:
            job.end(status, status.lower())

    # after each step

    @invariant()
    def the_rows_are_those_of_the_model(self) -> None:
        with self.database.read() as c:
            rows = {row.id: row for row in c.execute(sa.select(jobs))}
            curves = {
                (row.job_id, row.epoch): row.value for row in c.execute(sa.select(metric_table))
            }
            ends = sa.select(attempts).order_by(attempts.c.job_id, attempts.c.attempt)
            outcomes: dict[int, list[str | None]] = {}
            for row in c.execute(ends):
                outcomes.setdefault(row.job_id, []).append(row.outcome)
        assert sorted(rows) == sorted(self.jobs)
        for job_id, job in self.jobs.items():
            row = rows[job_id]
            assert self._seen(row) == self._known(job), f"job {job_id}"
            assert (row.lease_until is not None) is (job.owner is not None)
            assert (row.finished_at is not None) is job.status.is_terminal
            assert outcomes.get(job_id, []) == job.outcomes
        known = {(i, e): v for i, job in self.jobs.items() for e, v in job.curve.items()}
        assert curves == known

    @staticmethod
    def _seen(row: Any) -> tuple[Any, ...]:
        return (
            (row.status, row.dispatch_seq, row.attempt, row.owner, row.request, row.failures),
            (row.epochs, row.epoch, row.checkpoint_path, row.artifact_path),
        )

    @staticmethod
    def _known(job: _Job) -> tuple[Any, ...]:
        return (
            (job.status, job.dispatch_seq, job.attempt, job.owner, job.request, job.failures),
            (job.epochs, job.epoch, job.checkpoint, job.artifact),
        )


@pytest.fixture
def machine(database: Database) -> Iterator[type[Machine]]:
    """The machine on a database that watches every change of a status."""
    if database.is_sqlite:
        with database.begin() as c:
            c.exec_driver_sql(_guard())
    yield type("MachineHere", (Machine,), {"database": database})


def _guard() -> str:
    """A trigger that refuses a change of status that states.TRANSITIONS does not have."""
    legal = [
        f"(OLD.status = '{before}' AND NEW.status = '{after}')"
        for before, ends in TRANSITIONS.items()
        for after in ends
    ]
    return (
        "CREATE TRIGGER guard BEFORE UPDATE OF status ON jobs WHEN OLD.status <> NEW.status"
        f" AND NOT ({' OR '.join(legal)})"
        " BEGIN SELECT RAISE(ABORT, 'an illegal change of status'); END"
    )


def test_any_interleaving_is_that_of_the_model(machine: type[Machine], database: Database) -> None:
    examples = 70 if database.is_sqlite else 30
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_specs_of_deleted_jobs_go_with_them(database: Database) -> None:
    with database.begin() as c:
        job_table.insert(c, [new_job("a")])
        c.execute(jobs.delete())
        assert c.execute(sa.select(sa.func.count()).select_from(job_specs)).scalar_one() == 0
