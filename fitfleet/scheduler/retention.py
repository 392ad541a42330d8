"""Retention: whose weights and checkpoints are kept, and taking the others off the disk.

Curves, scores and specifications always stay: a job that was collected can be run again.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fitfleet.analysis.compare import metric_values
from fitfleet.analysis.objective import Objective, objectives
from fitfleet.data.location import DATASETS
from fitfleet.db import lookup
from fitfleet.db import retention as table
from fitfleet.db import sweeps as sweep_table
from fitfleet.db.retention import Kept
from fitfleet.db.session import Database
from fitfleet.errors import FitfleetError, StorageError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.storage import Storage
from fitfleet.sweeps.design import Design

# A file without a row may be one that a worker is just writing.
_YOUNG_S = 3600.0
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Policy:
    """What is kept of an experiment's ended jobs."""

    best: int = 10  # weights of so many succeeded jobs, by the sweep's objective or val_loss
    # Checkpoints of jobs that did not succeed, so that they can be resumed for a while.
    checkpoint_days: float = 7.0
    only_sweeps: bool = False  # leave jobs alone that were submitted one by one


@dataclass(frozen=True)
class Collected:
    """One file that goes, or went."""

    job_id: int | None  # None: no row knows of it
    experiment: str
    path: str  # relative to the storage
    size_bytes: int
    why: str


def collect(
    database: Database,
    settings: Settings,
    policy: Policy,
    *,
    experiment: str | None = None,
    is_dry: bool = False,
) -> list[Collected]:
    """Take away what the policy does not keep; with `is_dry` only say what would go.

    Never a file that any job which is kept points to, nor one of a job that has not ended.
    StorageError if the storage cannot be read.
    """
    root = Path(settings.storage)
    if not root.is_dir():
        raise StorageError(f"{root}: the storage is not there; see `fitfleet doctor`")
    with database.read() as c:
        everything = table.kept(c)
    goners = list(_goners(database, everything, policy, experiment))
    going = {(job.job_id, path) for job, path, _ in goners}
    needed = {
        path
        for job in everything
        for path in (job.artifact_path, job.checkpoint_path)
        if path is not None and (job.job_id, path) not in going
    }
    collected = []
    for job, path, why in goners:
        inside = _inside(root, path)
        file = None if path in needed else inside
        size = 0 if file is None else _size(file)
        if not is_dry:
            with database.begin() as c:
                if not table.forget(c, job.job_id, path):
                    continue
            if file is not None:
                _remove(file)
        if inside is not None:  # of another path the row lets go, and nothing else happens
            collected.append(Collected(job.job_id, job.experiment, path, size, why))
    if experiment is None:
        collected += _orphans(root, everything, is_dry)
        if not policy.only_sweeps:
            collected += _datasets(database, root, is_dry)
    return collected


def _goners(
    database: Database, everything: list[Kept], policy: Policy, experiment: str | None
) -> Iterable[tuple[Kept, str, str]]:
    by_experiment: dict[str, list[Kept]] = defaultdict(list)
    for job in everything:
        if experiment is None or job.experiment == experiment:
            by_experiment[job.experiment].append(job)
    for name, of_experiment in by_experiment.items():
        winners = _winners(database, name, of_experiment, policy.best)
        for job in of_experiment:
            if not job.status.is_terminal or (policy.only_sweeps and job.sweep_id is None):
                continue
            yield from _files(job, policy, job.job_id in winners)


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


def _winners(database: Database, experiment: str, of_experiment: list[Kept], best: int) -> set[int]:
    """The best succeeded jobs of an experiment; all of them where nothing tells which is best."""
    with_weights = [
        job.job_id
        for job in of_experiment
        if job.status is JobStatus.SUCCEEDED and job.artifact_path is not None
    ]
    if best <= 0:
        return set()
    if len(with_weights) <= best:
        return set(with_weights)
    wanted = _objective(database, experiment)
    with database.read() as c:
        rows = lookup.jobs_by_id(c, with_weights)
        scores = lookup.scores_of(c, with_weights)
    metrics = metric_values(database, rows, wanted.at, experiment, {wanted.name: wanted.direction})
    values = {}
    for job_id in with_weights:
        names = {**scores.get(job_id, {}), **metrics.get(job_id, {})}
        value = names.get(wanted.name, names.get("loss"))
        values[job_id] = math.nan if value is None else value
    if all(math.isnan(value) for value in values.values()):
        return set(with_weights)
    sign = 1.0 if wanted.direction == "minimize" else -1.0
    costs = {i: math.inf if math.isnan(value) else sign * value for i, value in values.items()}
    return set(sorted(with_weights, key=lambda i: (costs[i], i))[:best])


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


def _orphans(root: Path, everything: list[Kept], is_dry: bool) -> list[Collected]:
    """Files that no row points to, of jobs that have ended or are unknown."""
    known = {p for job in everything for p in (job.artifact_path, job.checkpoint_path) if p}
    busy = {str(job.job_id) for job in everything if not job.status.is_terminal}
    young = time.time() - _YOUNG_S
    collected = []
    for path in sorted(root.glob("*/*/*.weights.h5")) + sorted(root.glob("*/*/.*.weights.h5")):
        relative = path.relative_to(root).as_posix()
        if relative in known or path.parent.name in busy or _inside(root, relative) is None:
            continue
        try:
            about = path.stat()
        except OSError:
            continue
        if about.st_mtime > young:
            continue
        if not is_dry:
            _remove(path)
        collected.append(
            Collected(None, path.parts[-3], relative, about.st_size, "no job points to it")
        )
    return collected


def _datasets(database: Database, root: Path, is_dry: bool) -> list[Collected]:
    """Data of scripts that no job and no sweep names, and halves of such files."""
    old: dict[str, os.stat_result] = {}
    for path in sorted((root / DATASETS).glob("*")) + sorted((root / DATASETS).glob(".*.tmp")):
        with suppress(OSError):
            about = path.lstat()
            if stat.S_ISREG(about.st_mode) and about.st_mtime < time.time() - _YOUNG_S:
                old[f"{DATASETS}/{path.name}"] = about
    with database.read() as c:
        named = table.names_in_specs(c, old)
    collected = []
    for relative in old.keys() - named:
        if not is_dry:
            _remove(root / relative)
        size = old[relative].st_size
        collected.append(Collected(None, DATASETS, relative, size, "no job names this data"))
    return sorted(collected, key=lambda file: file.path)


def _inside(root: Path, path: str) -> Path | None:
    """The file of a row; None for a path that leaves the storage, whose file is not ours."""
    try:
        return Storage(root).absolute(path)
    except StorageError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
