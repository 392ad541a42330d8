"""The story of a job in a worker: claim, lease, data, restore, fit, evaluate, save, commit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fitfleet.data.arrays import Arrays, load, split_validation
from fitfleet.db import events, leases
from fitfleet.db.claims import Claim
from fitfleet.db.metrics import EpochMetrics
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.spec.check import check
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.states import FailureClass
from fitfleet.storage import Storage
from fitfleet.worker import code, cohort
from fitfleet.worker.claiming import claim_message
from fitfleet.worker.engines.choice import Engines
from fitfleet.worker.engines.engine import Member, StopReason
from fitfleet.worker.environment import differences, environment
from fitfleet.worker.failpoints import reach
from fitfleet.worker.fit import FitHooks
from fitfleet.worker.process import memory
from fitfleet.worker.recording.failures import classify
from fitfleet.worker.recording.lease import Lease
from fitfleet.worker.recording.metrics import Recorder
from fitfleet.worker.state import checkpoint


@dataclass
class Child:
    """A prefork child: one slot of a worker service, warm between jobs."""

    settings: Settings
    database: Database
    worker: str  # id of its slot
    device: str
    storage: Storage
    recorder: Recorder
    engines: Engines
    on_outage: Callable[[], None] = lambda: None  # told that the database is away
    members: list[Member] = field(default_factory=list)  # those in work, for the drain signal
    is_draining: bool = False
    is_spent: bool = False  # it ran out of memory, and is to be replaced
    has_trained: bool = False

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the last bits of this child's results depend on."""
        return environment(self.device)

    def run(self, job_id: int, dispatch_seq: int) -> None:
        """Run the job of a message, and mates it takes with it, to their ends.

        A message that is a duplicate or out of date does nothing.
        """
        # One that drains takes none: the scheduler sees that the message is gone, and sends
        # another.
        claim = claim_message(
            self.database,
            self.settings,
            (job_id, dispatch_seq),
            self.worker,
            is_draining=lambda: self.is_draining,
            on_outage=self.on_outage,
        )
        if claim is None:
            return
        self.train([claim, *cohort.mates(self.database, self.settings, claim)])

    def train(self, claims: Sequence[Claim]) -> None:
        """Train held jobs; each ends as its own row says, whatever happens to the others."""
        self.has_trained = True
        hooks = FitHooks(
            self.database, self.storage, self.settings, self.recorder, self.environment
        )
        self.members = members = [m for claim in claims if (m := _member(claim, hooks))]
        with hooks.guarding(members):
            reach("after_claim")
            if self.is_draining:  # the signal came before they stood in `members`
                self.drain()
            with Lease(self.database, self.settings, members), hooks.commits:
                self._fit(members, hooks)
        self.members = []
        self.is_spent |= any(classify(e)[0] is FailureClass.MEMORY for e in hooks.failures)

    def _fit(self, members: Sequence[Member], hooks: FitHooks) -> None:
        ready: list[Member] = []
        for member in members:
            if self._prepare(member, ready, hooks):
                ready.append(member)
        reach("in_choice")
        for engine, group in self.engines.choose(ready):
            with hooks.together(group):
                self._describe(group, engine.name)
                engine.fit(group, hooks)

    def drain(self) -> None:
        """Take no more jobs; end the present ones at an epoch's end if it comes in time.

        Safe in a signal handler.
        """
        self.is_draining = True
        for member in self.members:
            # Some of the time is for the checkpoint and the release.
            member.end_soon(StopReason.RELEASE, 0.8 * self.settings.drain_s)

    def _prepare(self, member: Member, before: Sequence[Member], hooks: FitHooks) -> bool:
        """Data and checkpoint of a member. False: that failed, and its end is recorded."""
        is_ready = False
        with hooks.preparing(member):
            settings = code.use(member.spec, self.database, self.settings)
            check(member.spec, settings)  # what this worker trusts and bears decides
            reach("in_load")
            member.arrays = self._arrays(member, before)
            if member.claim.checkpoint_path is not None:
                self._restore(member, member.claim.checkpoint_path)
            is_ready = True
        return is_ready

    def _arrays(self, member: Member, before: Sequence[Member]) -> Arrays:
        """Read for all of a cohort at once: those of the member before, where it has the same."""
        for other in before[-1:]:
            if _data(other) == _data(member):
                return other.arrays
        arrays = load(member.spec.dataset, self.settings, member.claim.fingerprint)
        return split_validation(arrays, member.spec.validation_split)

    def _restore(self, member: Member, path: str) -> None:
        claim = member.claim
        reach("in_restore")
        snapshot = checkpoint.read(self.storage.absolute(path), self.settings)
        batch_size, _ = memory.micro_batch(member.spec, member.options, claim.memory_step)
        if snapshot.batch_size not in (None, batch_size):
            # Another rung of the memory ladder: its optimizer has other variables.
            print(f"starts anew: the checkpoint is of batches of {snapshot.batch_size} rows")
            return
        member.snapshot, member.history = snapshot, list(snapshot.history)
        member.checkpoint_epoch = 0
        # The attempt before may have died before the last of these reached the database.
        self.recorder.put(*(EpochMetrics(claim, e.epoch + 1, e.logs) for e in member.history))

    def _describe(self, group: Sequence[Member], engine: str) -> None:
        reach("in_description")
        found = json.dumps(self.environment, sort_keys=True)
        ladders = [memory.rung(m.spec, m.options, m.claim.memory_step) for m in group]
        rows = [
            (
                member.claim,
                {
                    "environment": found,
                    "first_epoch": member.first_epoch,
                    "engine": engine,
                    "engine_reason": ladder or member.engine_reason or None,
                },
            )
            for member, ladder in zip(group, ladders, strict=True)
        ]
        try:
            with self.database.begin() as c:
                leases.describe_attempts(c, rows)
                for member, ladder in zip(group, ladders, strict=True):
                    claim = member.claim
                    for kind, detail in self._remarks(member, ladder):
                        events.add(
                            c,
                            kind,
                            claim.job_id,
                            attempt=claim.attempt,
                            worker=claim.worker,
                            detail=detail,
                        )
        except DatabaseError:
            return  # it is only a record; the fit goes on

    def _remarks(self, member: Member, ladder: str) -> list[tuple[str, str]]:
        found = [("memory", ladder)] if ladder else []
        before = member.snapshot.environment if member.snapshot else {}
        changed = differences(before, self.environment) if before else []
        if changed:
            detail = f"equality to the bit is not promised: {'; '.join(changed)}"
            found.append(("environment", detail))
        return found


def _data(member: Member) -> tuple[Any, ...]:
    return member.spec.dataset, member.claim.fingerprint, member.spec.validation_split


def _member(claim: Claim, hooks: FitHooks) -> Member | None:
    """None: another version of fitfleet wrote the row, or it is damaged; that is recorded."""
    try:
        spec = JobSpec.from_canonical(claim.spec)
        options = JobOptions.model_validate_json(claim.options)
    except Exception as error:  # the edge of a job
        hooks.endings.refuse(claim, error)
        return None
    # The arrays are read in _prepare, before any engine sees the member.
    return Member(claim=claim, spec=spec, options=options, arrays=None)  # type: ignore[arg-type]
