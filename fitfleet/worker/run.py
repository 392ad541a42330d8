"""The story of a job in a worker: claim → load → restore → fit → evaluate → save → commit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fitfleet.db.attempts.claims import Claim
from fitfleet.db.fleet import gang_slot_state
from fitfleet.db.scheduling import reservations
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings
from fitfleet.storage import Storage
from fitfleet.worker import cohort, evaluate, task
from fitfleet.worker.claiming import claim_message
from fitfleet.worker.control import JobControl, StopReason
from fitfleet.worker.engines.choice import Engines
from fitfleet.worker.environment import environment
from fitfleet.worker.failpoints import reach
from fitfleet.worker.fit import train
from fitfleet.worker.load import Loader
from fitfleet.worker.process.memory_meter import HostMeter, Meter
from fitfleet.worker.recording.journal import DatabaseJournal
from fitfleet.worker.recording.lease import Lease
from fitfleet.worker.recording.metrics import Recorder

_log = logging.getLogger(__name__)


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
    meter: Meter = field(default_factory=HostMeter)
    on_outage: Callable[[], None] = lambda: None  # told that the database is away
    controls: Sequence[JobControl] = field(default_factory=list)  # those held, for the drain signal
    is_draining: bool = False
    is_spent: bool = False  # it ran out of memory, and is to be replaced
    has_trained: bool = False
    is_running: bool = False  # a message, from its arrival to the end of its jobs
    may_be_kept: bool = False  # its slot, for a job on several GPUs

    @cached_property
    def environment(self) -> dict[str, Any]:
        """What the last bits of this child's results depend on."""
        return environment(self.device)

    def run(self, job_id: int, dispatch_seq: int) -> None:
        """Run the job of a message, and the cohort peers it takes with it, to their ends.

        A message that is a duplicate or out of date does nothing.
        """
        self.is_running = True
        try:
            self._claim_and_run(job_id, dispatch_seq)
        finally:
            self.is_running = False

    def _claim_and_run(self, job_id: int, dispatch_seq: int) -> None:
        # Before the claim: an error here costs no job, whose message another child will get.
        journal = self._journal()
        reach("before_claim")
        # One that drains takes none: the scheduler sees that the message is gone, and sends
        # another.
        leader = claim_message(
            self.database,
            self.settings,
            (job_id, dispatch_seq),
            self.worker,
            is_draining=lambda: self.is_draining,
            on_outage=self.on_outage,
            free_bytes=self.meter.free_bytes,
            on_kept=self._retire if self.may_be_kept else None,
        )
        if leader is not None:
            self._run(leader, journal)
            if self.may_be_kept and not self.is_draining:
                self._retire_if_kept()

    def _retire(self) -> None:
        """A fresh child follows, which stands by (process/standby)."""
        self.is_spent = True

    def _retire_if_kept(self) -> None:
        with suppress(DatabaseError), self.database.read() as c:
            self.is_spent |= gang_slot_state.is_kept(c, self.worker)

    def run_reserved(self, job_id: int) -> None:
        """Run a job that is reserved for this slot, alone; nothing if it is so no more."""
        self.is_running = True
        try:
            if self.is_draining:
                return
            with self.database.begin() as c:
                claim = reservations.begin_kept(c, self.worker, job_id, self.settings.lease_s)
            if claim is not None:
                self._run(claim, self._journal(), is_alone=True)
        except DatabaseError as error:  # its lease ends, and it will be retried
            _log.warning("job %s has not started: %s", job_id, error)
        finally:
            self.is_running = False

    def _journal(self) -> DatabaseJournal:
        return DatabaseJournal(
            self.database,
            self.storage,
            self.settings,
            self.recorder,
            self.environment,
            self.meter,
        )

    def _run(self, leader: Claim, journal: DatabaseJournal, *, is_alone: bool = False) -> None:
        """Each job ends as its own row says, whatever happens to the others."""
        self.has_trained = True
        self.controls = controls = [JobControl(leader)]
        with journal.guard_all(controls):
            reach("after_claim")
            peers = [] if is_alone else cohort.peers(self.database, self.settings, leader)
            controls += [JobControl(claim) for claim in peers]
            if peers:
                _log.info("%s more jobs are reserved and start when it is their turn", len(peers))
            if self.is_draining:  # the signal came before they stood in `controls`
                self.drain()
            with Lease(self.database, self.settings, controls), journal.commits:
                self._fit(controls, journal)
        self.controls = []
        self.is_spent |= journal.is_out_of_memory or self.meter.is_oversized()

    def _fit(self, controls: Sequence[JobControl], journal: DatabaseJournal) -> None:
        loader = Loader(self.database, self.storage, self.settings)
        jobs = loader.load(controls, journal)
        for job in jobs:
            if job.spec.task is not None:
                task.run(job, job.spec.task, journal, self.database, self.storage, self.settings)
        jobs = [job for job in jobs if job.spec.task is None]
        reach("in_choice")
        for choice in self.engines.choose(jobs):
            with closing(train(choice, journal, self.settings)) as fits:
                for fit, model in fits:
                    with journal.hold(fit.control):
                        with fit.control.timeline.phase("evaluate"):
                            scores = evaluate.scores(model, fit, self.settings)
                        fit.control.show_progress()
                        journal.save(fit, model, scores)  # commits.py ends it from its thread
                    del fit, model  # not held while the next one is trained

    def drain(self) -> None:
        """Take no more jobs; end the present ones at an epoch's end if it comes in time.

        Safe in a signal handler.
        """
        self.is_draining = True
        for control in self.controls:
            # Some of the time is for the checkpoint and the release.
            control.end_soon(StopReason.RELEASE, 0.8 * self.settings.drain_s)
