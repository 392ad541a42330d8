"""Starts an embedded fleet: the workers first, which import what they need while the script does.

This module imports next to nothing for that reason.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.embedded.background_record import Record, Stay, seconds_of
from fitfleet.embedded.broker import Broker
from fitfleet.embedded.services import Services
from fitfleet.errors import FitfleetError, MissingExtraError, SettingsError, StorageError
from fitfleet.settings import Settings, directory_settings

if TYPE_CHECKING:
    from fitfleet.client.fleet import Fleet
    from fitfleet.embedded.background_handle import JoinedFleet
    from fitfleet.embedded.fleet import LocalFleet

_log = logging.getLogger(__name__)


def local(
    workers: int = 2,
    directory: str | Path = ".fitfleet",
    *,
    keep: str | float | None = None,
    trusted_modules: tuple[str, ...] | list[str] | str = (),
    dashboard: bool = False,
    **settings: Any,
) -> Fleet:
    """A whole fleet on this machine, for a `with` block.

    `workers` processes fit one job each. They are the slots of one worker service, which imports
    TensorFlow once for all of them, or of services with `slots` each, if that is given. Database
    (`fleet.db`), storage, logs, dataset cache and the broker's socket lie in `directory`; jobs left
    there are resumed. Several scripts may use one directory at once: they share the broker, and any
    worker may take any job.
    Relative dataset paths start at the working directory (setting `data_root`).

    Workers run the functions and classes that this script submits, its own and those of its
    modules. `trusted_modules` names further modules, for job files and workers' own; they are
    looked for beside the script and in the working directory. Other settings are those of
    `fitfleet settings`.

    With `keep` ("1h", "30m", seconds) the fleet stays when the block ends, until nothing has run
    for that time and no script uses it, and the next script in this directory joins it with its
    workers warm; so does one without `keep`, and `fitfleet up` starts one beforehand. A fleet that
    stays but is of other settings, workers, versions, environment or trusted modules is ended
    first; its running fits write a checkpoint and resume on the new workers.

    With `dashboard` the fleet is on a page meanwhile: a link that signs a browser in is the first
    line of the progress display, and in `fleet.dashboard().url`.

    Raises SettingsError, StorageError if the directory cannot be written, and MissingExtraError
    if TensorFlow or the broker is not installed.
    """
    chosen = chosen_settings(workers, Path(directory), trusted_modules, settings)
    fleet = joined(Stay(Path(directory)), chosen, workers, keep) or started(
        chosen, workers, Path(directory)
    )
    if dashboard:
        fleet.dashboard()
    return fleet


def joined(
    stay: Stay, chosen: Settings, workers: int, keep: str | float | None
) -> JoinedFleet | None:
    """The fleet that stays in a folder; with `keep` it is started if need be.

    None without one. One that is not what these settings would start is ended.
    """
    keep_s = None if keep is None else seconds_of(keep)
    if keep_s is None and not stay.is_up():
        return None
    from fitfleet.embedded.background_handle import JoinedFleet
    from fitfleet.embedded.background_match import setup_hash

    wanted = setup_hash(chosen, workers)
    with stay.turn():
        record = stay.read()
        if record is not None and record.setup_hash != wanted:
            if _is_joined(stay, record):
                if keep_s is None:
                    return None
                raise FitfleetError(
                    f"{stay.directory}: the background fleet here has other settings or another"
                    " version, and a script uses it; wait until it ends, or choose another"
                    " directory"
                )
            _log.warning(
                "%s: the background fleet here has other settings; stopping it", stay.directory
            )
            stay.end()
            record = None
        if record is None:
            if keep_s is None:
                return None
            stay.start(chosen, workers, keep_s, wanted)
        elif keep_s is not None and keep_s != record.keep_s:
            stay.write(replace(record, keep_s=keep_s))
        return JoinedFleet(chosen, stay)


def _is_joined(stay: Stay, record: Record) -> bool:
    """Whether a script uses the fleet."""
    return any(pid != record.pid for pid in Broker(stay.directory / "broker").users())


def started(chosen: Settings, workers: int, directory: Path) -> LocalFleet:
    """A fleet of this process, which ends with it."""
    broker = Broker(directory.absolute() / "broker")
    services = Services(chosen, broker)
    try:
        services.start(workers)
        from fitfleet.db.actor import local_actor
        from fitfleet.db.session import Database
        from fitfleet.embedded.fleet import LocalFleet

        database = Database(chosen.database_url, local_actor(chosen.user))
        database.upgrade()
        chosen = chosen.replace(broker_url=broker.acquire())
        services.begin(database)
        return LocalFleet(chosen, database, broker, services)
    except BaseException:
        services.stop(0.0)
        broker.release()
        raise


def chosen_settings(
    workers: int,
    directory: Path,
    trusted_modules: Sequence[str] | str,
    given: dict[str, Any],
) -> Settings:
    """The settings of a fleet with `workers` workers in a directory, which is created."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise SettingsError(f"workers: {workers!r} is not a number of processes, 0 or more")
    if workers and importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError("tensorflow", "worker")
    modules = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    folder = directory.absolute()
    try:
        for name in ("storage", "logs", "cache"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}: the fleet's directory cannot be written ({error.strerror});"
            " choose another with directory="
        ) from None
    loaded = Settings.load({**directory_settings(directory), **given})
    return loaded.replace(
        slots=loaded.slots if "slots" in given else max(1, workers),
        data_root=str(Path(loaded.data_root).absolute()),
        trusted_modules=(*loaded.trusted_modules, *modules),
        code_trust="scripts",
        module_path=tuple(dict.fromkeys([*loaded.module_path, *_user_paths()])),
    )


def _user_paths() -> list[str]:
    """Where the user's own modules are: beside the script, and here."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    is_command = main is not None and Path(main).name in (
        "fitfleet",
        "__main__.py",
        "background_process.py",
    )
    script = [str(Path(main).resolve().parent)] if main and not is_command else []
    return [*script, os.getcwd()]
