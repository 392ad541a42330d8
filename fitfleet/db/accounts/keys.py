"""Secrets that the services of a fleet share, for those who may read its tables."""

from __future__ import annotations

from sqlalchemy import Connection, select

from fitfleet.db.schema.tables import fleet_keys
from fitfleet.errors import DatabaseError
from fitfleet.settings import Settings


def message_key(c: Connection, settings: Settings) -> bytes:
    """What signs the messages of the queue: the setting, else the key of this database.

    DatabaseError if it has none, which nothing of fitfleet takes away.
    """
    if settings.message_key:
        return settings.message_key.encode()
    query = select(fleet_keys.c.value).where(fleet_keys.c.name == "messages")
    value = c.execute(query).scalar()
    if value is None:
        raise DatabaseError(
            "the table fleet_keys has no key for messages; set message_key for scheduler and"
            " workers, or restore the table"
        )
    return str(value).encode()
