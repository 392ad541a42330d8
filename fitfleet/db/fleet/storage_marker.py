"""Whether the storage that a machine sees is the fleet's: a small file in it, known to SQL too.

The file holds `<fleet>.<storage>`: a hash that tells the database, and a random number. Whoever is
first writes the file, then its content into SQL; so of two storages one is the fleet's, in whatever
order machines start, and a start that dies in between changes nothing.
"""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, select

from fitfleet.db.dialect import insert_ignoring
from fitfleet.db.schema.tables import fleet_keys
from fitfleet.db.session import Database
from fitfleet.errors import StorageError, StorageRefusedError
from fitfleet.objects import small_files
from fitfleet.settings import Settings
from fitfleet.urls import is_url

NAME = ".fleet-id"
_KEY = "storage"
_log = logging.getLogger(__name__)


class ForeignStorageError(StorageError):
    """The storage is there, and not the fleet's."""


def check(database: Database, settings: Settings) -> None:
    """ForeignStorageError if this is not the fleet's storage; nothing is written.

    StorageError or MissingExtraError if the storage cannot be read.
    """
    with database.read() as c:
        known, fleet = _known(c), _fleet(c)
    _compare(database, settings, _read(settings), known, fleet)


def mark(database: Database, settings: Settings) -> None:
    """As `check`; a storage without a marker gets one where the fleet has none yet.

    A storage that cannot be reached now is only warned of: jobs say so, and may wait for it.
    StorageRefusedError or MissingExtraError if it will not be reached from here: with it jobs would
    fail one after the other.
    """
    try:
        with database.read() as c:
            known, fleet = _known(c), _fleet(c)
        marker = _read(settings)
        _compare(database, settings, marker, known, fleet)
        if marker is None:
            _write(settings, known or f"{fleet}.{secrets.token_hex(8)}")
            marker = _read(settings)
        if known is None and marker is not None:
            with database.begin() as c:
                c.execute(insert_ignoring(c, fleet_keys), {"name": _KEY, "value": marker})
                known = _known(c)
            _compare(database, settings, marker, known, fleet)
    except (ForeignStorageError, StorageRefusedError):
        raise
    except StorageError as error:
        _log.warning("cannot check whether the storage belongs to this fleet: %s", error)


def _compare(
    database: Database, settings: Settings, marker: str | None, known: str | None, fleet: str
) -> None:
    """An SQLite file is of one machine: there a storage may be emptied, a database made anew."""
    if marker == known or (database.is_sqlite and None in (marker, known)):
        return
    file = small_files.shown(settings, NAME)
    fix = "set FITFLEET_STORAGE to what all machines of this fleet share"
    moved = f"if its files were moved here, write {known} to {file}"
    if marker is None:
        mount = "" if is_url(settings.storage) else "mount it, or "
        raise ForeignStorageError(
            f"{file}, which the fleet's storage has, is not there; {mount}{fix}; {moved}"
        )
    if known is not None:
        raise ForeignStorageError(
            f"{file} says {marker!r} and the database {known!r}: this is another storage;"
            f" {fix}; {moved}"
        )
    if marker.partition(".")[0] != fleet:
        raise ForeignStorageError(
            f"{file} says {marker!r}, which is another fleet's than {fleet!r}, the database's;"
            f" {fix}; if no other fleet uses it any more, remove that file"
        )


def _known(c: Connection) -> str | None:
    value = c.execute(select(fleet_keys.c.value).where(fleet_keys.c.name == _KEY)).scalar()
    return None if value is None else str(value)


def _fleet(c: Connection) -> str:
    """A hash that identifies this database and reveals nothing of its key. DatabaseError."""
    query = select(fleet_keys.c.value).where(fleet_keys.c.name == "messages")
    return sha256(f"fleet {c.execute(query).scalar()}".encode()).hexdigest()[:16]


def _read(settings: Settings) -> str | None:
    content = small_files.read(settings, NAME)
    return None if content is None else content[:100].decode("ascii", "replace").strip()


def _write(settings: Settings, marker: str) -> None:
    if not is_url(settings.storage):
        with suppress(OSError):  # what follows says it
            Path(settings.storage).mkdir(parents=True, exist_ok=True)
    small_files.create(settings, NAME, f"{marker}\n".encode(), 0o644)
