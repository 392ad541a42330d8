"""The settings of a host that joins a fleet: the fleet's own, by its API, and the host's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from fitfleet.client.remote.connection import Connection
from fitfleet.errors import ApiError, StorageError
from fitfleet.setting_values import converted
from fitfleet.settings import Settings

# Arguments of URLs of PostgreSQL and Redis that name a file.
FILE_ARGUMENTS = (
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
)
# Each host has its own; all others are the same on all of them.
_OF_A_HOST = frozenset(
    {
        *("url", "ca_file", "user", "token", "logs", "cache", "cache_bytes", "programs"),
        *("programs_bytes", "queue", "labels", "module_path", "log_level", "log_format"),
        *("slots", "threads", "gpus", "min_free_gpu_bytes", "memory_limit_bytes"),
        *("worker_database_url", "worker_broker_url"),
        "max_upload_bytes",
    }
)
FLEET_WIDE = tuple(name for name, _, _ in Settings.table() if name not in _OF_A_HOST)
# Where this host has mounted them; its settings come before the fleet's.
_PLACES = ("storage", "data_root")


def joined_settings(connection: Connection, here: Settings, folder: Path) -> Settings:
    """The settings that a worker of the fleet needs on this host.

    Certificates are written into the folder, for this user alone. ApiError, AccessError, StateError
    for what the fleet refuses; StorageError if the folder cannot be written.
    """
    document = connection.post("/v1/join", queue=here.queue)
    try:
        fleet_settings = {
            name: document["settings"][name] for name in FLEET_WIDE if name in document["settings"]
        }
        defaults = {name: default for name, default, _ in Settings.table()}
        values = {
            name: converted(name, value, defaults[name]) for name, value in fleet_settings.items()
        }
        for name, files in document["files"].items():
            values[name] = _with_files(values[name], files, folder / name)
    except (KeyError, TypeError, AttributeError):
        raise ApiError(
            f"{connection.url} does not return the settings that a joining host needs"
        ) from None
    for name in _PLACES:
        if getattr(here, name) != defaults[name]:
            values[name] = getattr(here, name)
    settings = here.replace(**values)
    settings.check()
    return settings


def arguments_of(url: str) -> dict[str, str]:
    """The arguments of a URL."""
    return dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))


def _with_files(url: str, files: Mapping[str, str], folder: Path) -> str:
    """The URL with the paths that its files have here."""
    arguments = arguments_of(url)
    for argument, text in files.items():
        if argument in FILE_ARGUMENTS:
            arguments[argument] = str(_written(folder / f"{argument}.pem", text))
    return f"{url.partition('?')[0]}?{urlencode(arguments)}" if files else url


def _written(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # 0600 from its first byte; PostgreSQL's client takes no key that others may read.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return path
