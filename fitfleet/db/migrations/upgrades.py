"""Which version of fitfleet made which schema, so that an older one can say what to install."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.schema.tables import upgrades
from fitfleet.spec.versions import installed


def record(c: Connection, revision: str, at: float) -> None:
    """The tables are at this revision by now."""
    values = {"revision": revision, "fitfleet": installed(), "upgraded_at": at}
    c.execute(insert_ignoring(c, upgrades).values(values))


def made_by(c: Connection, revision: str) -> str | None:
    """The version of fitfleet that upgraded to the revision; None if it did not say so."""
    if not sa.inspect(c).has_table(upgrades.name):
        return None
    query = sa.select(upgrades.c.fitfleet).where(upgrades.c.revision == revision)
    return c.execute(query).scalar()
