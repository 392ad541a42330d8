"""The story of a job in a worker: claim, lease, data, restore, fit, evaluate, save, commit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from fitfleet.data.arrays import load, split_validation
from fitfleet.db import leases
from fitfleet.db.leases import Claim
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.storage import Storage
from fitfleet.worker import cohort, resume
from fitfleet.worker.engine import Member
from fitfleet.worker.engines import Engines
from fitfleet.worker.environment import environment
from fitfleet.worker.fit import FitHooks
from fitfleet.worker.lease import Lease
from fitfleet.worker.record import Recorder


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
    members: list[Member] = field(default_factory=list)  # those in work, for the drain signal
    is_draining: bool = False

    def run(self, job_id: int, dispatch_seq: int) -> None:
        """Run the job of a message, and mates it takes with it, to their ends.

        A message that is a duplicate or out of date does nothing.
        """
        if self.is_draining:
            return
        with self.database.begin() as c:
            claim = leases.claim(c, job_id, dispatch_seq, self.worker, self.settings.lease_s)
        if claim is None:
            return
        claims = [claim, *cohort.mates(self.database, self.settings, claim)]
        self.train(claims)

    def train(self, claims: Sequence[Claim]) -> None:
        """Train held jobs; each ends as its own row says, whatever happens to the others."""
        hooks = FitHooks(self.database, self.storage, self.settings, self.recorder)
        members = [_member(claim) for claim in claims]
        self.members = members
        with Lease(self.database, self.settings, members):
            ready = [member for member in members if self._prepare(member, hooks)]
            for engine, group in self.engines.choose(ready):
                self._describe(group, engine.name)
                engine.fit(group, hooks)
        self.members = []

    def _prepare(self, member: Member, hooks: FitHooks) -> bool:
        """Data and checkpoint of a member. False: that failed, and its end is recorded."""
        is_ready = False
        with hooks.preparing(member):
            arrays = load(member.spec.dataset, self.settings)
            member.arrays = split_validation(arrays, member.spec.validation_split)
            if member.claim.checkpoint_path is not None:
                path = self.storage.absolute(member.claim.checkpoint_path)
                member.snapshot = resume.read(path)
                member.history = list(member.snapshot.history)
            is_ready = True
        return is_ready

    def _describe(self, group: Sequence[Member], engine: str) -> None:
        found = json.dumps(environment(self.device), sort_keys=True)
        with self.database.begin() as c:
            for member in group:
                leases.describe_attempt(
                    c,
                    member.claim,
                    environment=found,
                    first_epoch=member.first_epoch,
                    engine=engine,
                    engine_reason=member.engine_reason or None,
                )


def _member(claim: Claim) -> Member:
    return Member(
        claim=claim,
        spec=JobSpec.from_canonical(claim.spec),
        options=JobOptions.model_validate_json(claim.options),
        arrays=None,  # type: ignore[arg-type]  # read in _prepare, before any engine sees it
    )
