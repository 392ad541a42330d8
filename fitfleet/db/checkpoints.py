"""The row's pointer to the newest checkpoint, fenced."""

from __future__ import annotations

from sqlalchemy import Connection, update

from fitfleet.db.claims import Claim, holds
from fitfleet.db.session import now
from fitfleet.db.tables import jobs


def checkpoint(c: Connection, claim: Claim, path: str, epoch: int) -> bool:
    """Point the row to a checkpoint that contains `epoch` epochs. False: the claim was lost.

    The caller renames the file into place inside the same transaction, after this has returned
    True: the row is locked then, so a zombie changes nothing, in SQL or on disk.
    """
    won = c.execute(
        update(jobs)
        .where(holds(claim))
        .values(
            checkpoint_path=path, checkpoint_epoch=epoch, progress_at=now(c), refused_since=None
        )
    ).rowcount
    return bool(won)
