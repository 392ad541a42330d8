"""The embedded fleet: broker, scheduler and workers of one script, on this machine."""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from fitfleet.broker import Broker
from fitfleet.db.session import Database
from fitfleet.errors import MissingExtraError, SettingsError, StorageError
from fitfleet.fleet import Fleet
from fitfleet.scheduler.service import Scheduler
from fitfleet.scheduler.upkeep import Retention
from fitfleet.services import Services
from fitfleet.settings import Settings, directory_settings


class LocalFleet(Fleet):
    """A fleet that lives as long as its `with` block. Made by `ff.local(...)`."""

    def __init__(
        self, settings: Settings, database: Database, broker: Broker, services: Services
    ) -> None:
        super().__init__(settings, database)
        self._broker = broker
        self.services = services
        self._stop = threading.Event()
        self._scheduler = Scheduler(settings, database)
        self._scheduler.steps.append(Retention(settings))
        self._thread = threading.Thread(
            target=self._scheduler.run, args=(self._stop,), name="fitfleet-scheduler", daemon=True
        )
        self._thread.start()
        self._is_open = True

    def __enter__(self) -> LocalFleet:
        return self

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the worker services that are up."""
        return self.services.pids

    def _on_look(self) -> None:
        self.services.check()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and sys.stderr.isatty():
            print(
                "stopping: fits write a checkpoint; Ctrl-C again ends them at once", file=sys.stderr
            )
        self.close()

    def close(self) -> None:
        """Drain the workers, then stop the scheduler and let go of the broker.

        A running fit writes a checkpoint and goes back to the queue; the next fleet in this
        directory goes on with it. A second Ctrl-C ends the workers at once.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            self.services.stop(self.settings.drain_s)
        finally:
            self._stop.set()
            self._thread.join(timeout=10)
            self._broker.release()
            self.database.dispose()


def local(
    workers: int = 2,
    directory: str | Path = ".fitfleet",
    *,
    trusted_modules: tuple[str, ...] | list[str] | str = (),
    **settings: Any,
) -> LocalFleet:
    """Start a whole fleet on this machine, for a `with` block.

    `workers` processes fit one job each. Database (`fleet.db`), storage, logs, dataset cache and
    the broker's socket lie in `directory`; jobs left there are taken up again. Several scripts
    may use one directory at once: they share the broker, and any worker may take any job.
    Relative dataset paths start at the working directory (setting `data_root`).

    `trusted_modules` names the user's modules whose custom layers, metrics, builders and
    evaluators the workers may run; they are looked for beside the script and in the working
    directory. Other settings are those of `fitfleet settings`.

    Raises SettingsError, StorageError if the directory cannot be written, and MissingExtraError
    if TensorFlow or the broker is not installed.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise SettingsError(f"workers: {workers!r} is not a number of processes, 0 or more")
    if workers and importlib.util.find_spec("tensorflow") is None:
        raise MissingExtraError("tensorflow", "worker")
    modules = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    chosen = _settings(Path(directory), modules, settings)
    database = Database(chosen.database_url)
    database.upgrade()
    broker = Broker(Path(directory).absolute() / "broker")
    chosen = chosen.replace(broker_url=broker.acquire())
    services = Services(chosen, database, broker)
    try:
        services.start(workers)
        return LocalFleet(chosen, database, broker, services)
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
        module_path=tuple(dict.fromkeys([*loaded.module_path, *_user_paths()])),
    )


def _user_paths() -> list[str]:
    """Where the user's own modules are: beside the script, and here."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    script = [str(Path(main).resolve().parent)] if main else []
    return [*script, os.getcwd()]
