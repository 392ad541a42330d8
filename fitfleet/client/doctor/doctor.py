"""Checking an installation: each finding says what was seen and, if it is wrong, how to fix it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from platform import python_version

from fitfleet.client.doctor.storage import Finding, examine_storage, is_embedded, is_missing
from fitfleet.client.remote import connection as api
from fitfleet.client.wait_reasons import unserved
from fitfleet.db.fleet import capacity, storage_marker
from fitfleet.db.reading import lookup, queue_position
from fitfleet.db.session import Connection, Database, read_clock
from fitfleet.errors import (
    AccessError,
    ApiError,
    BrokerError,
    DatabaseError,
    MissingExtraError,
    SettingsError,
    StorageError,
)
from fitfleet.settings import Settings
from fitfleet.storage import Storage

_CLOCK_S = 2.0
_START_S = 120.0
_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "h5py", "celery", "sqlalchemy")

# In a process of its own: TensorFlow is heavy and takes hold of GPUs.
_DEVICES = (
    "import json, tensorflow as tf;"
    "print(json.dumps([tf.__version__, [d.name for d in tf.config.list_physical_devices()]]))"
)


def examine(settings: Settings) -> list[Finding]:
    """All findings, also when the first ones are bad. Of a client of the API: of that."""
    if settings.url:
        return [*_api(settings), *_versions(settings)]
    checks: list[Callable[[Settings], list[Finding]]] = [
        intervals,
        examine_services,
        broker_users_of_hosts,
        examine_storage,
        _data_root,
        _devices,
        _versions,
    ]
    return [finding for check in checks for finding in check(settings)]


def examine_host(settings: Settings) -> list[Finding]:
    """What a host needs that is about to serve a queue; its devices its children look at."""
    checks = (intervals, examine_services, examine_storage, _data_root)
    return [finding for check in checks for finding in check(settings)]


def intervals(settings: Settings) -> list[Finding]:
    """A finding where settings are within bounds and work badly together."""
    if settings.lease_s >= 3 * settings.heartbeat_s:
        return []
    detail = f"lease_s is {settings.lease_s:g}, heartbeat_s {settings.heartbeat_s:g}"
    fix = "set FITFLEET_LEASE_S to at least three heartbeats, or running jobs count as lost"
    return [Finding("settings", False, detail, fix)]


def _api(settings: Settings) -> list[Finding]:
    try:
        connection = api.Connection(settings.url, settings.token, settings.ca_file)
        document = connection.get("/v1/fleet")
    except (ApiError, AccessError, SettingsError) as error:
        fix = "see FITFLEET_URL, FITFLEET_TOKEN and FITFLEET_CA_FILE"
        return [Finding("api", False, str(error), fix)]
    return [Finding("api", True, f"{settings.url} answers: fitfleet {document['version']}")]


def examine_services(settings: Settings) -> list[Finding]:
    """What of it concerns the broker, the database and the workers."""
    return [*_broker(settings), *_database(settings)]


def versions() -> dict[str, str | None]:
    """Versions of fitfleet, Python and the packages that decide numbers; None: not installed."""
    installed: dict[str, str | None] = {
        "fitfleet": _version("fitfleet"),
        "python": python_version(),
    }
    installed.update({name: _version(name) for name in _PACKAGES})
    if installed["tensorflow"] is None:
        installed["tensorflow"] = installed["tensorflow-cpu"]
    del installed["tensorflow-cpu"]
    return installed


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _broker(settings: Settings) -> list[Finding]:
    from fitfleet.queue import celery_app, ping

    try:
        ping(celery_app(settings))
    except SettingsError as error:
        return [Finding("broker", False, str(error), "set FITFLEET_BROKER_URL")]
    except BrokerError as error:
        if is_embedded(settings):
            return [Finding("broker", True, "none running; ff.local and fitfleet run start it")]
        return [Finding("broker", False, str(error), _broker_fix(str(error)))]
    return [Finding("broker", True, "answers"), *_scheduler(settings)]


def broker_users_of_hosts(settings: Settings) -> list[Finding]:
    """Whether hosts that join get users of their own, so that revoking puts them out."""
    from fitfleet.queue import celery_app
    from fitfleet.scheduler import broker_users

    if is_embedded(settings):
        return []
    try:
        have_own = broker_users.may_create(celery_app(settings))
    except (BrokerError, SettingsError):  # reported by another line
        return []
    detail = "each host that joins gets one of its own"
    if not have_own:
        detail = "none for hosts that join, which are told the broker's password; see deploy/valkey"
    return [Finding("broker users", True, detail)]


def _scheduler(settings: Settings) -> list[Finding]:
    """One that runs says so in the broker; an embedded fleet has its own while its script runs."""
    from fitfleet.queue import celery_app, scheduler_seen

    try:
        name = scheduler_seen(celery_app(settings))
    except BrokerError as error:
        return [Finding("scheduler", False, str(error), _broker_fix(str(error)))]
    if name is not None:
        return [Finding("scheduler", True, f"running: {name}")]
    if is_embedded(settings):
        return []
    detail = "none running; waiting jobs will not start"
    return [Finding("scheduler", False, detail, "fitfleet scheduler")]


def _broker_fix(text: str) -> str:
    if any(word in text.lower() for word in ("auth", "password", "noperm")):
        return (
            "set the broker's user and password: FITFLEET_BROKER_URL="
            "redis://USER:PASSWORD@HOST:6379/0, without USER if it has no users"
        )
    if "certificate" in text.lower():
        return (
            "give the CA certificate that signed it: rediss://HOST:6379/0?ssl_ca_certs=/path/ca.pem"
        )
    return "start Redis or Valkey, or set FITFLEET_BROKER_URL"


def _database(settings: Settings) -> list[Finding]:
    try:
        database = Database(settings.database_url)
    except SettingsError as error:
        return [Finding("database", False, str(error), "set FITFLEET_DATABASE_URL")]
    if database.file is not None and not database.file.exists():
        return [_no_file(settings, database)]
    try:
        database.check_schema()
        with database.read() as c:
            ahead_s = read_clock(c) - time.time()
            slots, counts = capacity.count_live_slots(c, settings.lease_s), lookup.count_jobs(c)
            lost = _lost_weights(c, settings)
            alone = unserved(c, queue_position.waiting_queues(c), settings.lease_s)
        foreign = _foreign_storage(database, settings)
    except DatabaseError as error:
        sentence, _, command = str(error).partition("; run: ")
        return [Finding("database", False, sentence, command or _database_fix(sentence))]
    finally:
        database.dispose()
    jobs = Finding("database", True, f"answers; {sum(counts.values())} jobs")
    queues = [Finding("queue", False, *line.rsplit(": ", 1)) for line in alone]
    return [jobs, _workers(slots), *queues, _clock(ahead_s), *lost, *foreign]


def _database_fix(text: str) -> str:
    if "upgrade" in text:
        return "install the newer fitfleet on this host"
    if "certificate" in text:
        return (
            "give the CA certificate that signed it, and the host as it is in the certificate:"
            " postgresql://HOST/DB?sslmode=verify-full&sslrootcert=/path/ca.pem"
        )
    if "password" in text:
        return "set the database's user and password in FITFLEET_DATABASE_URL"
    return "check FITFLEET_DATABASE_URL, and that the server runs"


def _lost_weights(c: Connection, settings: Settings) -> list[Finding]:
    """Weights that a worker has written and this machine does not see, as its storage differs."""
    if is_missing(settings):  # reported by another line
        return []
    path = lookup.newest_artifact(c)
    with suppress(StorageError):  # reported by another line
        if path is None or Storage.of(settings).about(path) is not None:
            return []
    return [
        Finding(
            "weights",
            False,
            f"{path}, the newest weights of this database, are not in {settings.storage}",
            "give all machines the same shared folder as FITFLEET_STORAGE",
        )
    ]


def _foreign_storage(database: Database, settings: Settings) -> list[Finding]:
    """What a worker of this machine would refuse to start for."""
    if is_missing(settings):  # reported by another line
        return []
    try:
        storage_marker.check(database, settings)
    except storage_marker.ForeignStorageError as error:
        return [Finding("marker", False, *str(error).split("; ", 1))]
    except (StorageError, MissingExtraError):  # reported by another line
        pass
    return []


def _no_file(settings: Settings, database: Database) -> Finding:
    if is_embedded(settings):
        detail = "none yet; ff.local and fitfleet run create one"
        return Finding("database", True, detail)
    return Finding("database", False, f"{database.place} does not exist", "fitfleet db upgrade")


def _workers(slots: int) -> Finding:
    online = f"{slots} slot{'s' if slots != 1 else ''} online"
    return Finding("workers", True, online if slots else "none running; jobs wait for one")


def _clock(ahead_s: float) -> Finding:
    if abs(ahead_s) > _CLOCK_S:
        detail = f"the database's clock differs from this machine's by {ahead_s:+.1f} s"
        return Finding("clock", False, detail, "run NTP (chrony, systemd-timesyncd) on both")
    return Finding("clock", True, f"differs from the database's by {abs(ahead_s):.2f} s")


def _data_root(settings: Settings) -> list[Finding]:
    folder = Path(settings.data_root).absolute()
    if folder.is_dir() and os.access(folder, os.R_OK | os.X_OK):
        return [Finding("data root", True, str(folder))]
    fix = "set FITFLEET_DATA_ROOT to the folder that dataset paths start from"
    return [Finding("data root", False, f"{folder} is not a readable folder", fix)]


def _devices(_: Settings) -> list[Finding]:
    if _version("tensorflow") is None and _version("tensorflow-cpu") is None:
        detail = "TensorFlow is not installed; this machine can submit but not train"
        return [Finding("devices", True, detail)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    fix = "reinstall it: pip install 'fitfleet[worker]' (or fitfleet[gpu])"
    try:
        child = subprocess.run(
            [sys.executable, "-c", _DEVICES],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_START_S,
        )
    except subprocess.TimeoutExpired:
        detail = f"TensorFlow did not start within {_START_S:g} s"
        return [
            Finding("devices", False, detail, f"try again when the host is less busy, or {fix}")
        ]
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        return [Finding("devices", False, f"TensorFlow cannot be imported: {last}", fix)]
    version, devices = json.loads(child.stdout.strip().splitlines()[-1])
    names = ", ".join(name.removeprefix("/physical_device:") for name in devices)
    return [Finding("devices", True, f"TensorFlow {version}: {names}")]


def _versions(_: Settings) -> list[Finding]:
    installed = {name: version for name, version in versions().items() if version}
    return [Finding("versions", True, ", ".join(f"{n} {v}" for n, v in installed.items()))]
