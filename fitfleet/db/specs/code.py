"""Snapshots of the user's code: stored once by their hash, before the first job that names them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.schema.tables import code_snapshots
from fitfleet.db.session import now
from fitfleet.spec.code.snapshot import Snapshot


@dataclass(frozen=True)
class StoredCode:
    """A snapshot as a row: anybody who may write to the database may have written it."""

    archive: bytes
    signature: str | None


def store(c: Connection, snapshots: Iterable[tuple[Snapshot, str | None]]) -> None:
    """Keep snapshots with their signatures. One that is there stays, and takes a new signature."""
    rows = {snapshot.sha256: (snapshot, signature) for snapshot, signature in snapshots}
    for sha256, (snapshot, signature) in rows.items():
        is_known = c.execute(
            select(code_snapshots.c.signature).where(code_snapshots.c.sha256 == sha256)
        ).first()
        if is_known is None:
            archive = snapshot.to_archive()
            values = {"sha256": sha256, "archive": archive, "signature": signature}
            c.execute(insert_ignoring(c, code_snapshots).values(**values, created_at=now(c)))
        elif signature is not None and is_known.signature != signature:
            c.execute(
                update(code_snapshots)
                .where(code_snapshots.c.sha256 == sha256)
                .values(signature=signature)
            )


def read(c: Connection, sha256: str) -> StoredCode | None:
    """The snapshot of that hash; None if it is not there."""
    row = c.execute(select(code_snapshots).where(code_snapshots.c.sha256 == sha256)).first()
    return None if row is None else StoredCode(bytes(row.archive), row.signature)
