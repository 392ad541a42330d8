"""The row's pointer to the newest checkpoint, fenced."""

from __future__ import annotations

from sqlalchemy import Connection, update

from fitfleet.db.attempts.claims import Claim, holds
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import now


def checkpoint(
    c: Connection, claim: Claim, path: str, epoch: int, sha256: str | None = None
) -> bool:
    """Point the row to a checkpoint that contains `epoch` epochs. False: the claim was lost.

    Whoever resumes from it holds the file to its `sha256`.

    The caller renames the file into place inside the same transaction, after this has returned
    True: the row is locked then, so a zombie changes nothing, in SQL or on disk.
    """
    updated = c.execute(
        update(jobs)
        .where(holds(claim))
        .values(
            checkpoint_path=path,
            checkpoint_epoch=epoch,
            checkpoint_sha256=sha256,
            progress_at=now(c),
            refused_since=None,
        )
    ).rowcount
    return bool(updated)
