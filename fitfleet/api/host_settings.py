"""What a host that joins receives: the settings of the fleet, with the secrets in them.

They leave by TLS or to this very host (api/serve), to a token of scope `work`, and each time is in
the log of changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fitfleet.client.fleet import Fleet
from fitfleet.client.remote.connection import is_loopback
from fitfleet.client.remote.host_settings import FILE_ARGUMENTS, FLEET_WIDE, arguments_of
from fitfleet.db.accounts import access, host_roles
from fitfleet.db.actor import Actor, Scope
from fitfleet.errors import SettingsError, StateError
from fitfleet.queue import celery_app
from fitfleet.scheduler import broker_users
from fitfleet.settings import Settings
from fitfleet.urls import with_user

_MAX_FILE_BYTES = 2**20


def settings_for(fleet: Fleet, host: str, actor: Actor, queue: str = "") -> dict[str, Any]:
    """Settings by name, and the files that their URLs name, by setting and argument.

    Where the database has the role `fitfleet_host` each host gets a role of its own in it, which
    ends with the token; so with the broker, where it may make users. StateError for a database or
    broker that this host alone can reach, SettingsError for a file that cannot be read, BrokerError
    when the broker is away.
    """
    settings = _for_workers(fleet.settings)
    for name in ("database_url", "broker_url"):
        _check_reachable(name, getattr(settings, name), host)
    values = {name: getattr(settings, name) for name in FLEET_WIDE}
    named = {name: _files(name, values[name]) for name in ("database_url", "broker_url")}
    detail = f"token {actor.token_id}"
    app = celery_app(fleet.settings)
    user = None if actor.token_id is None else broker_users.create(app, actor.token_id, queue)
    if user is not None:
        values["broker_url"] = with_user(values["broker_url"], *user)
        detail += f", broker user {user[0]}"
    with fleet.database.begin() as c:
        if actor.token_id is not None and host_roles.may_create(c):
            role, password = host_roles.create(c, actor.token_id)
            values["database_url"] = with_user(values["database_url"], role, password)
            detail += f", role {role}"
        access.change(c, "join", host, detail, needs=Scope.WORK)
    return {"settings": values, "files": named}


def _for_workers(settings: Settings) -> Settings:
    return settings.replace(
        database_url=settings.worker_database_url or settings.database_url,
        broker_url=settings.worker_broker_url or settings.broker_url,
    )


def _check_reachable(name: str, url: str, host: str) -> None:
    """Another host reaches neither a file nor a loopback address."""
    if is_loopback(host):
        return
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        raise StateError(
            "this fleet's database is an SQLite file, which other hosts cannot use; an admin moves"
            " it to PostgreSQL"
        )
    if parts.hostname is None or is_loopback(parts.hostname):
        raise StateError(
            f"the fleet's {name} leads to the scheduler's own host; an admin sets"
            f" worker_{name} to the address that workers reach it by"
        )


def _files(name: str, url: str) -> dict[str, str]:
    """Certificates and keys that a URL names, by the argument that names them."""
    files = {}
    for argument, path in arguments_of(url).items():
        if argument in FILE_ARGUMENTS:
            try:
                with Path(path).open(encoding="ascii") as file:
                    files[argument] = file.read(_MAX_FILE_BYTES)
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                raise SettingsError(f"{name}: {argument}={path} cannot be read: {reason}") from None
    return files
