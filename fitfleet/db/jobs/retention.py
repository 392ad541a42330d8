"""Which files the rows point to, and letting go of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from fitfleet.db import events
from fitfleet.db.schema.tables import experiments, job_specs, jobs, shared_documents, sweeps
from fitfleet.db.session import Database, now
from fitfleet.states import TERMINAL, JobStatus

_PAGE = 2_000
_PART = 200  # jobs, with all their metrics, that go in one transaction


@dataclass(frozen=True, slots=True)
class Kept:
    """A job and the files that its row points to, relative to the storage."""

    job_id: int
    experiment: str
    sweep_id: int | None
    status: JobStatus
    artifact_path: str | None
    checkpoint_path: str | None
    ended_s: float  # seconds since it ended; 0 while it has not
    artifact_sha256: str | None
    checkpoint_sha256: str | None


def kept(c: Connection, experiment: str | None = None) -> list[Kept]:
    """All jobs of an experiment or of the fleet, by number."""
    query = _kept_query(c)
    if experiment is not None:
        query = query.where(experiments.c.name == experiment)
    return [_kept(row) for row in c.execute(query)]


def kept_of(c: Connection, job_ids: Sequence[int]) -> list[Kept]:
    """Those of the jobs that there are, without those that are being removed, by number."""
    query = _kept_query(c).where(experiments.c.removing.is_(None))
    return [
        _kept(row)
        for start in range(0, len(job_ids), _PAGE)
        for row in c.execute(query.where(jobs.c.id.in_(job_ids[start : start + _PAGE])))
    ]


def _kept_query(c: Connection) -> Select[Any]:
    return (
        select(
            jobs.c.id,
            func.coalesce(experiments.c.removing, experiments.c.name),
            jobs.c.sweep_id,
            jobs.c.status,
            jobs.c.artifact_path,
            jobs.c.checkpoint_path,
            func.coalesce(now(c) - jobs.c.finished_at, 0.0),
            jobs.c.artifact_sha256,
            jobs.c.checkpoint_sha256,
        )
        .join(experiments, experiments.c.id == jobs.c.experiment_id)
        .order_by(jobs.c.id)
    )


def _kept(row: Any) -> Kept:
    job_id, name, sweep, status, artifact, checkpoint, ended_s, *hashes = row
    state = JobStatus(status)
    return Kept(job_id, name, sweep, state, artifact, checkpoint, float(ended_s), *hashes)


def pages(database: Database, experiment: str | None, *, only_sweeps: bool) -> Iterator[list[Kept]]:
    """The ended jobs that point to a file, of an experiment or of the fleet, some at a time."""
    has_file = jobs.c.artifact_path.is_not(None) | jobs.c.checkpoint_path.is_not(None)
    condition = jobs.c.status.in_(sorted(TERMINAL)) & has_file
    if only_sweeps:
        condition &= jobs.c.sweep_id.is_not(None)
    after = 0
    while True:
        with database.read() as c:
            query = _kept_query(c).where(condition, jobs.c.id > after).limit(_PAGE)
            if experiment is not None:
                query = query.where(experiments.c.name == experiment)
            page = [_kept(row) for row in c.execute(query)]
        if not page:
            return
        yield page
        after = page[-1].job_id


def all_pages(database: Database, number: int) -> Iterator[list[Kept]]:
    """All jobs of an experiment, by its number, some at a time; they may be deleted meanwhile."""
    after = 0
    while True:
        with database.read() as c:
            query = _kept_query(c).where(jobs.c.experiment_id == number, jobs.c.id > after)
            page = [_kept(row) for row in c.execute(query.limit(_PART))]
        if not page:
            return
        yield page
        after = page[-1].job_id


def shared_paths(c: Connection) -> set[str]:
    """The files of jobs that were adopted, to which the jobs that computed them point too."""
    paths: set[str] = set()
    for column in (jobs.c.artifact_path, jobs.c.checkpoint_path):
        query = select(column).where(jobs.c.adopted_from.is_not(None), column.is_not(None))
        paths |= set(c.scalars(query))
    return paths


def paths_of_others(c: Connection, numbers: Sequence[int], folder: str) -> set[str]:
    """The paths that jobs outside of these experiments share with them.

    `folder` is the one of these experiments; adopted jobs point into that of another.
    """
    paths: set[str] = set()
    for column in (jobs.c.artifact_path, jobs.c.checkpoint_path):
        is_mine = jobs.c.experiment_id.in_(numbers)
        is_there = column.startswith(f"{folder}/", autoescape=True)
        paths |= set(c.scalars(select(column).where(~is_mine, is_there)))
        foreign = set(c.scalars(select(column).where(is_mine, ~is_there)))
        paths |= {path for _, path in pointing(c, foreign, but_of=numbers)}
    return paths


def has_files(c: Connection) -> bool:
    """Whether any job points to a file."""
    columns = (jobs.c.artifact_path, jobs.c.checkpoint_path)
    queries = [select(jobs.c.id).where(column.is_not(None)).limit(1) for column in columns]
    return any(c.scalar(query) is not None for query in queries)


def pointing(
    c: Connection, paths: Collection[str], but_of: Sequence[int] = ()
) -> set[tuple[int, str]]:
    """(job, path) of every row that points to one of the paths, but of these experiments."""
    wanted = sorted(paths)
    pointers: set[tuple[int, str]] = set()
    for start in range(0, len(wanted), _PAGE):
        for column in (jobs.c.artifact_path, jobs.c.checkpoint_path):
            query = select(jobs.c.id, column).where(
                column.in_(wanted[start : start + _PAGE]), jobs.c.experiment_id.not_in(but_of)
            )
            pointers |= {(job_id, path) for job_id, path in c.execute(query)}
    return pointers


def known_paths(c: Connection, job_ids: Sequence[int]) -> tuple[set[str], set[str]]:
    """What the rows of these jobs point to; and the numbers, as text, of those still open."""
    columns = (jobs.c.id, jobs.c.status, jobs.c.artifact_path, jobs.c.checkpoint_path)
    rows = c.execute(select(*columns).where(jobs.c.id.in_(job_ids))).all()
    known = {path for row in rows for path in row[2:] if path is not None}
    return known, {str(row.id) for row in rows if not JobStatus(row.status).is_terminal}


def size_bytes(c: Connection) -> int:
    """Size of the whole database on its disk."""
    if c.dialect.name == "postgresql":
        return int(c.scalar(select(func.pg_database_size(func.current_database()))) or 0)
    pages = c.exec_driver_sql("PRAGMA page_count").scalar_one()
    return int(pages * c.exec_driver_sql("PRAGMA page_size").scalar_one())


def names_in_specs(c: Connection, texts: Collection[str]) -> set[str]:
    """Those of the texts that stand in the spec of a job or the design of a sweep."""
    left = set(texts)
    for column in (shared_documents.c.document, job_specs.c.spec, sweeps.c.document):
        if left:
            for (document,) in c.execute(select(column).execution_options(yield_per=500)):
                left -= {text for text in left if text in document}
    return set(texts) - left


def forget(c: Connection, job_id: int, path: str) -> bool:
    """Point to this file no more. False: the job continues, or points elsewhere by now."""
    is_forgotten = False
    for column in (jobs.c.artifact_path, jobs.c.checkpoint_path):
        values = {column.name: None}
        if column.name == "checkpoint_path":
            values |= {"checkpoint_epoch": None, "checkpoint_sha256": None}
        updated = c.execute(
            update(jobs)
            .where(jobs.c.id == job_id, column == path, jobs.c.status.in_(sorted(TERMINAL)))
            .values(**values)
        ).rowcount
        is_forgotten |= bool(updated)
    if is_forgotten:
        events.add(c, "collected", job_id, detail=path)
    return is_forgotten
