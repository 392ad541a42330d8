"""Jobs whose ends are committed together, each with an end of its own."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

from fleets import Fleet
from sqlalchemy import text

from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.errors import StorageError
from fitfleet.states import JobStatus
from fitfleet.storage import Storage
from fitfleet.worker.control import Interrupted, JobControl, StopReason
from fitfleet.worker.recording.commits import CommitQueue, PendingCommit


class Ends:
    """Claimed jobs with drafts on the disk, and what becomes of those that are not committed."""

    def __init__(self, fleet: Fleet, job: dict[str, Any]) -> None:
        self.fleet, self._job = fleet, job
        self.storage = Storage(fleet.settings.storage)
        self.failures: dict[int, BaseException] = {}
        self.after: list[int] = []

    def fail(self, control: JobControl, error: BaseException) -> None:
        self.failures[control.claim.job_id] = error

    def commits(self) -> CommitQueue:
        return CommitQueue(self.fleet.database, self.fleet.recorder, self.fail)

    def ending(self, seed: int) -> PendingCommit:
        job_id = self.fleet.submit(**{**self._job, "seed": seed})
        claim = self.fleet.claim()
        assert claim.job_id == job_id
        name = self.storage.final(claim.experiment, job_id, claim.attempt)
        with ExitStack() as kept:
            draft = kept.enter_context(self.storage.draft(name))
            draft.path.write_text(f"the weights of {job_id}\n")
            values = {"epoch": 1, "seconds": 0.5, "scores": {"keras": {"test_loss": job_id / 8}}}
            after = lambda: self.after.append(job_id)  # noqa: E731
            return PendingCommit(JobControl(claim), draft, kept.pop_all(), values, after)

    def names(self, ending: PendingCommit) -> list[str]:
        return sorted(path.name for path in ending.draft.target.parent.iterdir())


def test_a_refused_and_a_lost_one_keep_the_others_from_nothing(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    ends = Ends(fleet, job)
    endings = [ends.ending(seed) for seed in range(8)]
    refused, lost, *good = endings
    refused.draft.target.mkdir()  # no file can get this name
    with fleet.database.begin() as c:
        taken = {"job": lost.control.claim.job_id}
        c.execute(text("UPDATE jobs SET attempt = attempt + 1 WHERE id = :job"), taken)
    with ends.commits() as commits:
        for ending in endings:
            commits.put(ending)
    for ending in good:
        row = fleet.row(ending.control.claim.job_id)
        assert (row.status, row.epoch) == (JobStatus.SUCCEEDED, 1)
        assert fleet.artifact(row).read_text() == f"the weights of {row.id}\n"
        assert fleet.scores(row.id) == {"test_loss": row.id / 8}
    of_refused, of_lost = refused.control.claim.job_id, lost.control.claim.job_id
    assert sorted(ends.after) == [ending.control.claim.job_id for ending in good]
    assert set(ends.failures) == {of_refused, of_lost}
    assert isinstance(ends.failures[of_refused], StorageError)
    error = ends.failures[of_lost]
    assert isinstance(error, Interrupted) and error.reason is StopReason.LOST
    for ending in (refused, lost):
        assert fleet.row(ending.control.claim.job_id).status is JobStatus.RUNNING
        assert not [name for name in ends.names(ending) if name.startswith(".")], "a draft is left"
    assert not any(ending.control.is_committing for ending in endings)


def test_names_that_a_database_cannot_hold_do_not_keep_jobs_from_their_end(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    ends = Ends(fleet, job)
    odd, plain = ends.ending(0), ends.ending(1)
    odd.values = {**odd.values, "scores": {"own": {"a\x00b": 1.0, "c\ud800d": 2.0}}}
    fleet.recorder.put(EpochMetrics(odd.control.claim, 1, {"e\x00f": 3.0, "g\ud800h": 4.0}))
    with ends.commits() as commits:
        commits.put(odd)
        commits.put(plain)
    assert ends.failures == {}
    assert fleet.scores(odd.control.claim.job_id) == {"ab": 1.0, "c?d": 2.0}
    values = {metric: value for _, _, metric, value in fleet.curve(odd.control.claim.job_id)}
    assert values == {"ef": 3.0, "g?h": 4.0}


def test_an_error_of_one_end_is_not_that_of_the_others(fleet: Fleet, job: dict[str, Any]) -> None:
    ends = Ends(fleet, job)
    broken, *good = [ends.ending(seed) for seed in range(4)]
    broken.values = {**broken.values, "scores": {"own": {"x": object()}}}
    with ends.commits() as commits:
        for ending in (broken, *good):
            commits.put(ending)
    assert list(ends.failures) == [broken.control.claim.job_id]
    assert sorted(ends.after) == [ending.control.claim.job_id for ending in good]


def test_the_last_metrics_come_with_the_end(fleet: Fleet, job: dict[str, Any]) -> None:
    ends = Ends(fleet, job)
    ending = ends.ending(0)
    claim = ending.control.claim
    fleet.recorder.put(EpochMetrics(claim, 1, {"loss": 0.25}))
    with ends.commits() as commits:
        commits.put(ending)
    assert fleet.curve(claim.job_id) == [(1, "train", "loss", 0.25)]


def test_while_the_database_is_away_it_waits_until_it_is_stopped(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    ends = Ends(fleet, job)
    patient, drained = ends.ending(0), ends.ending(1)
    with fleet.database.begin() as c:
        c.execute(text("ALTER TABLE scores RENAME TO away"))  # every commit fails from now on
    has_ended = threading.Event()

    def fail(control: JobControl, error: BaseException) -> None:
        ends.fail(control, error)
        has_ended.set()

    with CommitQueue(fleet.database, fleet.recorder, fail) as commits:
        commits.put(patient)
        commits.put(drained)
        drained.control.end_soon(StopReason.RELEASE, 0.0)
        assert has_ended.wait(120)
        assert patient.control.is_committing
        with fleet.database.begin() as c:
            c.execute(text("ALTER TABLE away RENAME TO scores"))
    assert list(ends.failures) == [drained.control.claim.job_id]
    assert ends.after == [patient.control.claim.job_id]
    assert fleet.row(patient.control.claim.job_id).status is JobStatus.SUCCEEDED
    assert fleet.row(drained.control.claim.job_id).status is JobStatus.RUNNING
