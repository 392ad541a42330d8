"""Putting an archived experiment back: its rows, some at a time, and at the end its name.

Until then nobody sees it. Numbers of jobs and events stay if all of them are free; else all are
shifted alike. A restoration that did not come to its end is removed as a removal that did not.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, func, select, update

from fitfleet.db import bulk, events
from fitfleet.db.accounts import access
from fitfleet.db.actor import Scope
from fitfleet.db.dialect import chunks
from fitfleet.db.jobs.removal import RESTORING
from fitfleet.db.schema import tables
from fitfleet.db.schema.tables import experiments, jobs, sweeps
from fitfleet.db.session import now
from fitfleet.db.specs import code, specs
from fitfleet.db.specs.requirements import requirement_ids
from fitfleet.errors import StateError
from fitfleet.spec.code.snapshot import Snapshot

Row = dict[str, Any]


@dataclass
class Restoration:
    """An experiment that is being restored: its numbers in this database."""

    name: str
    number: int
    sweeps: dict[int, int] = field(default_factory=dict)  # number in the archive -> here
    shift: int = 0  # of the numbers of jobs
    event_shift: int = 0
    job_ids: frozenset[int] = frozenset()  # in the archive


def begin(c: Connection, experiment: Row, its_sweeps: Sequence[Row]) -> Restoration:
    """Make the rows of the experiment and its sweeps. StateError if a name of theirs is taken."""
    name = str(experiment["name"])
    access.change(c, "restore", name, needs=Scope.ADMIN)
    check_names(c, name, its_sweeps)
    hidden = {**experiment, "name": _hidden(), "removing": name, "created_at": now(c)}
    restoration = Restoration(name, _inserted(c, experiments, hidden))
    for sweep in its_sweeps:
        row = {**sweep, "name": _hidden(), "experiment_id": restoration.number}
        restoration.sweeps[sweep["id"]] = _inserted(c, sweeps, row)
    return restoration


def check_names(c: Connection, name: str, its_sweeps: Sequence[Row]) -> None:
    """StateError if there is an experiment or sweep of such a name."""
    names = [sweep["name"] for sweep in its_sweeps]
    taken = list(c.scalars(select(sweeps.c.name).where(sweeps.c.name.in_(names))))
    if c.scalar(select(experiments.c.id).where(experiments.c.name == name)) is not None:
        raise StateError(
            f"not restored: there is an experiment {name!r}; archive or remove that one first"
        )
    if taken:
        raise StateError(
            f"not restored: another experiment has a sweep {taken[0]!r}; archive or remove that one"
            " first"
        )


def shift_jobs(c: Connection, restoration: Restoration, job_ids: Sequence[int]) -> None:
    """Decide on the numbers of the jobs; the largest is to be inserted in this transaction."""
    restoration.job_ids = frozenset(job_ids)
    restoration.shift = _shift(c, jobs, job_ids)


def shift_events(c: Connection, restoration: Restoration, event_ids: Sequence[int]) -> None:
    """The same for its events."""
    restoration.event_shift = _shift(c, tables.events, event_ids)


def _shift(c: Connection, table: sa.Table, ids: Sequence[int]) -> int:
    """0 if all of these are free, else what makes them larger than all that there are."""
    shift = 0
    if any(c.scalar(select(table.c.id).where(table.c.id.in_(ids)).limit(1)) for ids in chunks(ids)):
        shift = bulk.new_ids(c, table, 1)[0] - min(ids)
    if c.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, "id")
        largest = func.greatest(func.nextval(sequence), max(ids) + shift)
        c.execute(select(func.setval(sequence, largest)))
    return shift


def add_jobs(c: Connection, restoration: Restoration, rows: Sequence[Row]) -> None:
    """Insert jobs. What they start from or were adopted from is kept where it is the same job."""
    documents = requirement_ids(c, {row["requirement"] or "" for row in rows})
    hashes = _hashes(c, restoration, rows)
    for row in rows:
        row["requirement_id"] = documents[row.pop("requirement") or ""]
        row["experiment_id"] = restoration.number
        row["sweep_id"] = restoration.sweeps.get(row["sweep_id"])
        parent, parent_hash = row["starts_from"], row.pop("parent_hash")
        if parent in restoration.job_ids:
            row["starts_from"] = parent + restoration.shift
        elif parent_hash is None or hashes.get(parent) != parent_hash:
            row["starts_from"] = None
        if hashes.get(row["adopted_from"]) != row["content_hash"]:
            row["adopted_from"] = None
        row["id"] += restoration.shift
    _insert(c, restoration, jobs, rows)


def _hashes(c: Connection, restoration: Restoration, rows: Sequence[Row]) -> dict[int | None, str]:
    """Content hash of each job of other experiments that these name."""
    wanted = {row[name] for row in rows for name in ("starts_from", "adopted_from")}
    hashes: dict[int | None, str] = {}
    for chunk in chunks(sorted(wanted - {None} - restoration.job_ids)):
        query = select(jobs.c.id, jobs.c.content_hash).where(jobs.c.id.in_(chunk))
        hashes |= {job_id: content_hash for job_id, content_hash in c.execute(query)}
    return hashes


def add(c: Connection, restoration: Restoration, name: str, rows: Sequence[Row]) -> None:
    """Insert rows of a table that names jobs or sweeps."""
    table = tables.metadata.tables[name]
    for row in rows:
        if "job_id" in row:
            row["job_id"] += restoration.shift
        if "sweep_id" in row:
            row["sweep_id"] = restoration.sweeps[row["sweep_id"]]
        if table is tables.events:
            row["id"] += restoration.event_shift
    if table is tables.job_specs:
        specs.insert_whole(c, [(row["job_id"], row["spec"], row["options"]) for row in rows])
        return
    _insert(c, restoration, table, rows)


def add_code(c: Connection, archive: bytes, signature: str | None) -> str:
    """Keep a snapshot of code unless it is there; its sha256. SpecError if it is damaged."""
    snapshot = Snapshot.from_archive(archive)
    if code.read(c, snapshot.sha256) is None:
        code.store(c, [(snapshot, signature)])
    return snapshot.sha256


def end(
    c: Connection, restoration: Restoration, experiment: Row, its_sweeps: Sequence[Row]
) -> None:
    """Give the experiment its name. StateError if jobs of it are gone, or the name is taken."""
    row = select(experiments.c.id).where(experiments.c.id == restoration.number)
    c.execute(row.with_for_update())
    of_experiment = jobs.c.experiment_id == restoration.number
    count = c.scalar(select(func.count()).select_from(jobs).where(of_experiment))
    if count != len(restoration.job_ids):
        raise StateError(f"not restored: {restoration.name!r} was removed meanwhile; try again")
    check_names(c, restoration.name, its_sweeps)
    for sweep in its_sweeps:
        number = restoration.sweeps[sweep["id"]]
        c.execute(update(sweeps).where(sweeps.c.id == number).values(name=sweep["name"]))
    values = {"name": restoration.name, "removing": None, "created_at": experiment["created_at"]}
    c.execute(update(experiments).where(experiments.c.id == restoration.number).values(values))
    events.add(c, "restored", detail=f"experiment {restoration.name}")


def _hidden() -> str:
    return f"{RESTORING}{uuid.uuid4().hex}"


def _inserted(c: Connection, table: sa.Table, row: Mapping[str, Any]) -> int:
    values = {name: value for name, value in row.items() if name != "id"}
    return int(c.execute(table.insert().values(values).returning(table.c.id)).scalar_one())


def _insert(c: Connection, restoration: Restoration, table: sa.Table, rows: Iterable[Row]) -> None:
    """Insert rows with the same columns, and say that the restoration goes on."""
    rows = list(rows)
    if rows:
        names = list(rows[0])
        bulk.insert(c, table, names, (tuple(row[name] for name in names) for row in rows))
    is_it = experiments.c.id == restoration.number
    c.execute(update(experiments).where(is_it).values(created_at=now(c)))
