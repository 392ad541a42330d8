"""Starts an embedded fleet: the workers first, which import what they need while the script does.

This module imports next to nothing for that reason.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.embedded.broker import Broker
from fitfleet.embedded.services import Services
from fitfleet.errors import MissingExtraError, SettingsError, StorageError
from fitfleet.settings import Settings, directory_settings

if TYPE_CHECKING:
    from fitfleet.embedded.fleet import LocalFleet


def local(
    workers: int = 2,
    directory: str | Path = ".fitfleet",
    *,
    trusted_modules: tuple[str, ...] | list[str] | str = (),
    dashboard: bool = False,
    **settings: Any,
) -> LocalFleet:
    """Start a whole fleet on this machine, for a `with` block.

    `workers` processes fit one job each. Database (`fleet.db`), storage, logs, dataset cache and
    the broker's socket lie in `directory`; jobs left there are resumed. Several scripts
    may use one directory at once: they share the broker, and any worker may take any job.
    Relative dataset paths start at the working directory (setting `data_root`).

    Workers run the functions and classes that this script submits, its own and those of its
    modules. `trusted_modules` names further modules, for job files and workers' own; they are
    looked for beside the script and in the working directory. Other settings are those of
    `fitfleet settings`.

    With `dashboard` the fleet is on a page meanwhile: a link that signs a browser in is the first
    line of the progress display, and in `fleet.dashboard().url`.

    Raises SettingsError, StorageError if the directory cannot be written, and MissingExtraError
    if TensorFlow or the broker is not installed.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise SettingsError(f"workers: {workers!r} is not a number of processes, 0 or more")
    if workers and importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError("tensorflow", "worker")
    modules = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    chosen = _settings(Path(directory), modules, settings)
    broker = Broker(Path(directory).absolute() / "broker")
    services = Services(chosen, broker)
    try:
        services.start(workers)
        from fitfleet.db.session import Database
        from fitfleet.embedded.fleet import LocalFleet

        database = Database(chosen.database_url)
        database.upgrade()
        chosen = chosen.replace(broker_url=broker.acquire())
        services.begin(database)
        fleet = LocalFleet(chosen, database, broker, services)
        if dashboard:
            fleet.dashboard()
        return fleet
    except BaseException:
        services.stop(0.0)
        broker.release()
        raise


def _settings(directory: Path, modules: tuple[str, ...], given: dict[str, Any]) -> Settings:
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
        data_root=str(Path(loaded.data_root).absolute()),
        trusted_modules=(*loaded.trusted_modules, *modules),
        code_trust="scripts",
        module_path=tuple(dict.fromkeys([*loaded.module_path, *_user_paths()])),
    )


def _user_paths() -> list[str]:
    """Where the user's own modules are: beside the script, and here."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    script = [str(Path(main).resolve().parent)] if main else []
    return [*script, os.getcwd()]
