"""`ff.connect`: a fleet that runs elsewhere, by its database or by its HTTP API."""

from __future__ import annotations

from typing import Any

from fitfleet.client.fleet import Fleet
from fitfleet.client.remote.connection import is_api
from fitfleet.client.remote.fleet import RemoteFleet
from fitfleet.db.accounts import tokens
from fitfleet.db.actor import local_actor
from fitfleet.db.session import Database
from fitfleet.settings import Settings


def connect(
    database_url: str | None = None,
    broker_url: str | None = None,
    storage: str | None = None,
    **settings: Any,
) -> Fleet:
    """A fleet whose scheduler and workers run elsewhere.

    The first argument is the URL of its database, or `https://host:9500`, that of its HTTP API:
    with a `token` nothing else is needed then. What is not given comes from FITFLEET_* variables,
    fitfleet.toml, then the defaults; a `database_url` that is given goes before FITFLEET_URL.
    SettingsError for a bad setting; DatabaseError if the database is away or its tables are not
    those of this version, ApiError for the API; AccessError for a token that is wrong, expired or
    revoked.
    """
    if database_url is not None:
        target = {"url": database_url} if is_api(database_url) else {"database_url": database_url}
        settings = {"url": "", **settings, **target}
    loaded = Settings.load({"broker_url": broker_url, "storage": storage, **settings})
    if loaded.url:
        return RemoteFleet(loaded)
    database = Database(loaded.database_url, local_actor(loaded.user))
    database.check_schema()
    tokens.enter(database, loaded.token)
    return Fleet(loaded, database)
