"""Retention: whose weights and checkpoints are kept, and taking the others off the disk.

Curves, scores and specifications always stay: a job that was collected can be run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fitfleet.analysis.objective import Objective, objectives
from fitfleet.db.jobs import dependencies
from fitfleet.db.jobs import retention as table
from fitfleet.db.jobs.retention import Kept
from fitfleet.db.reading.best_jobs import best_jobs
from fitfleet.db.session import Database
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.errors import FitfleetError
from fitfleet.scheduler.orphans import Collected, datasets, orphans
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.storage import Storage
from fitfleet.sweeps.design.design import Design

_DAY_S = 86_400.0


@dataclass(frozen=True)
class Policy:
    """What is kept of an experiment's ended jobs."""

    best: int = 10  # succeeded jobs whose weights are kept, by the sweep's objective or val_loss
    # Checkpoints of jobs that did not succeed, so that they can be resumed for a while.
    checkpoint_days: float = 7.0
    only_sweeps: bool = False  # leave jobs alone that were submitted one by one


def collect(
    database: Database,
    settings: Settings,
    policy: Policy,
    *,
    experiment: str | None = None,
    is_dry: bool = False,
) -> Iterator[Collected]:
    """Take away what the policy does not keep, one after the other; with `is_dry` only say so.

    Never a file that any job which is kept points to, nor one of a job that has not ended.
    StorageError if the storage cannot be read. It holds a page of jobs at a time.
    """
    storage = Storage.of(settings)
    with database.read() as c:
        is_new = storage.objects is None and not storage.root.exists() and not table.has_files(c)
        shared = table.shared_paths(c)
    if is_new:
        return  # no worker has made the folder yet
    storage.check_reachable()
    later: list[_Candidate] = []
    for candidate in _candidates(database, policy, experiment):
        if candidate[1] in shared or not _is_own(*candidate):
            later.append(candidate)
        else:
            yield from _collected(database, storage, candidate, is_needed=False, is_dry=is_dry)
    needed = _needed(database, later)
    for candidate in later:
        yield from _collected(
            database, storage, candidate, is_needed=candidate[1] in needed, is_dry=is_dry
        )
    if experiment is None:
        yield from orphans(database, storage, shared, is_dry=is_dry)
        if not policy.only_sweeps:
            yield from datasets(database, storage, is_dry=is_dry)


_Candidate = tuple[Kept, str, str]  # a job, the path that it releases, and why


def _is_own(job: Kept, path: str, _: str) -> bool:
    """Whether it lies in the job's own folder, where no other job points to but to adopt it."""
    return path.split("/")[-2:-1] == [str(job.job_id)]


def _needed(database: Database, candidates: Sequence[_Candidate]) -> set[str]:
    """The paths that another job points to, which stays."""
    leaving = {(job.job_id, path) for job, path, _ in candidates}
    with database.read() as c:
        pointing = table.pointing(c, {path for _, path, _ in candidates})
    return {path for job_id, path in pointing if (job_id, path) not in leaving}


def _collected(
    database: Database, storage: Storage, candidate: _Candidate, *, is_needed: bool, is_dry: bool
) -> Iterator[Collected]:
    job, path, why = candidate
    is_ours = storage.contains(path)
    file = storage.about(path) if is_ours and not is_needed else None
    if not is_dry:
        with database.begin() as c:
            if not table.forget(c, job.job_id, path):
                return
        if file is not None:
            storage.delete(path)
    if is_ours:  # of another path the row is cleared, and nothing else happens
        size = 0 if file is None else file.size_bytes
        yield Collected(job.job_id, job.experiment, path, size, why)


def _candidates(database: Database, policy: Policy, experiment: str | None) -> Iterator[_Candidate]:
    """All that the policy does not keep, by job."""
    winners: dict[str, frozenset[int] | None] = {}
    with database.read() as c:
        parents = dependencies.needed_parents(c)
    for page in table.pages(database, experiment, only_sweeps=policy.only_sweeps):
        for job in page:
            if job.job_id in parents:  # another job waits for its weights
                continue
            if job.experiment not in winners:
                winners[job.experiment] = _winners(database, job.experiment, policy.best)
            best = winners[job.experiment]
            yield from _files(job, policy, best is None or job.job_id in best)


def _files(job: Kept, policy: Policy, is_winner: bool) -> Iterable[tuple[Kept, str, str]]:
    has_succeeded = job.status is JobStatus.SUCCEEDED
    if job.artifact_path is not None and not is_winner:
        yield job, job.artifact_path, f"weights, not among the best {policy.best}"
    if job.checkpoint_path is not None and job.checkpoint_path != job.artifact_path:
        if has_succeeded:
            yield job, job.checkpoint_path, "checkpoint of a job that has succeeded"
        elif job.ended_s >= policy.checkpoint_days * _DAY_S:
            days = f"{policy.checkpoint_days:g} days"
            yield job, job.checkpoint_path, f"checkpoint of a job that ended over {days} ago"


def _winners(database: Database, experiment: str, count: int) -> frozenset[int] | None:
    """The best succeeded jobs of an experiment; None: all, where no objective ranks them."""
    if count <= 0:
        return frozenset()
    wanted = _objective(database, experiment)
    with database.read() as c:
        winners = best_jobs(
            c,
            experiment,
            [JobStatus.SUCCEEDED],
            wanted.name,
            wanted.direction,
            wanted.at,
            count,
            or_loss=True,
            with_weights=True,
        )
    if winners and winners[0][1] is None:
        return None
    return frozenset(job_id for job_id, _ in winners)


def _objective(database: Database, experiment: str) -> Objective:
    """Of the experiment's newest sweep; without one, val_loss."""
    with database.read() as c:
        rows = [row for row in sweep_table.listed(c) if row.experiment == experiment]
    for row in reversed(rows):
        try:
            return Design.from_json(row.document).wanted[0]
        except (FitfleetError, ValueError, TypeError, KeyError):
            continue
    return objectives("val_loss", "minimize", "last")[0]
