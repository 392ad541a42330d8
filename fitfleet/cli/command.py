"""What all commands share: the options that say which fleet, and how errors end a command."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitfleet.cli.exit_codes import INTERRUPTED, exit_code
from fitfleet.errors import FitfleetError, NotFoundError
from fitfleet.interrupts import kept_interrupts
from fitfleet.settings import Settings, directory_settings
from fitfleet.text import plain_warnings, printable_lines
from fitfleet.urls import without_password

if TYPE_CHECKING:
    from fitfleet.client.fleet import Fleet

_PANEL = "Which fleet"

Directory = Annotated[
    Path | None,
    typer.Option(
        help="Folder of an embedded fleet, as given to ff.local (default: .fitfleet).",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


def _option(help: str) -> Any:
    return Annotated[
        str | None, typer.Option(help=help, rich_help_panel=_PANEL, show_default=False)
    ]


_OPTIONS: dict[str, Any] = {
    "directory": Directory,
    "database_url": _option("Database. [FITFLEET_DATABASE_URL]"),
    "url": _option("HTTP API of the fleet, with FITFLEET_TOKEN. [FITFLEET_URL]"),
    "broker_url": _option("Redis or Valkey. [FITFLEET_BROKER_URL]"),
    "storage": _option("Folder for weights, or s3://bucket/prefix. [FITFLEET_STORAGE]"),
    "data_root": _option("Where relative dataset paths start. [FITFLEET_DATA_ROOT]"),
}

Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust",
        help="Module whose builders, custom layers, metrics and evaluators may run.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Target:
    """The fleet that the options of a command point at."""

    def __init__(self, directory: Path | None, given: dict[str, str | None]) -> None:
        self.directory = directory
        self.given = {name: value for name, value in given.items() if value is not None}

    def settings(self) -> Settings:
        """Options before the directory's places, before FITFLEET_*, file and defaults."""
        places = {} if self.directory is None else directory_settings(self.directory)
        if "database_url" in self.given:
            places["url"] = ""  # one of the environment is of another way to a fleet
        return Settings.load({**places, **self.given})

    def has_database(self) -> bool:
        """Whether the database may exist; False for an SQLite file that is not there."""
        settings = self.settings()
        file = sqlite_file(settings.database_url)
        return bool(settings.url) or file is None or file.exists()

    def fleet(self, *, create: bool = False, trust: Sequence[str] | None = None) -> Fleet:
        """The fleet as `ff.connect` gives it. `create` makes an SQLite database if need be.

        Modules in `trust` are trusted beside those of the settings.
        """
        from fitfleet.client.connect import connect
        from fitfleet.db.session import Database
        from fitfleet.errors import DatabaseError

        settings = self.settings()
        modules = (*settings.trusted_modules, *(trust or ()))
        settings = settings.replace(trusted_modules=modules)
        file = None if settings.url else sqlite_file(settings.database_url)
        if file is not None and not file.exists():
            if not create:
                raise DatabaseError(
                    f"there is no fleet in {file.parent}: {file.name} does not exist; start with"
                    " `fitfleet run job.yaml`, or say where it is with --directory"
                )
            file.parent.mkdir(parents=True, exist_ok=True)
            database = Database(settings.database_url)
            database.upgrade()
            database.dispose()
        return connect(**_as_arguments(settings))


def sqlite_file(database_url: str) -> Path | None:
    """The file of an SQLite URL; None for another database."""
    scheme, _, path = database_url.partition(":///")
    return Path(path) if scheme.split("+")[0] == "sqlite" and path else None


def check_experiment(fleet: Fleet, name: str) -> None:
    """NotFoundError, with those there are, for an experiment that no job belongs to."""
    known = [str(summary["name"]) for summary in fleet.experiments()]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known[-10:]
        there = f"there are {', '.join(near)}" if near else "there is none yet"
        raise NotFoundError(f"{name}: no such experiment; {there}")


def hide_passwords(target: Target) -> None:
    """Restart this service with its settings in the environment if its options hold a password.

    Options can be read by every user of the machine for as long as the process lives.
    """
    secret = [value for value in target.given.values() if without_password(value) != value]
    if any(value in argument for value in secret for argument in sys.argv):
        environment = {**os.environ, **target.settings().to_environment()}
        command_line = [sys.executable, "-m", "fitfleet", *_without_fleet_options(sys.argv[1:])]
        os.execve(sys.executable, command_line, environment)


def _without_fleet_options(arguments: Sequence[str]) -> list[str]:
    names = {f"--{name.replace('_', '-')}" for name in _OPTIONS}
    left, rest = [], iter(arguments)
    for argument in rest:
        if argument in names:
            next(rest, None)
        elif argument.partition("=")[0] not in names:
            left.append(argument)
    return left


def _as_arguments(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name, _, _ in Settings.table()}


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command its fleet options as one `target`, and end it with the right exit code.

    The function's first parameter is the Target; it returns its exit code, None being 0.
    """
    signature = inspect.signature(function, eval_str=True)
    parameters = list(signature.parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        given = {name: arguments.pop(name) for name in _OPTIONS}
        target = Target(given.pop("directory"), given)
        raise typer.Exit(_ended(lambda: function(target, **arguments)))

    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    # Typer reads the options off the signature.
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*keyword, *shared], return_annotation=None
    )
    run.__annotations__ = {p.name: p.annotation for p in [*keyword, *shared]}
    return run


def _ended(work: Callable[[], int | None]) -> int:
    """Run it; an expected error becomes one sentence on stderr and its exit code."""
    with warnings.catch_warnings(), kept_interrupts():
        plain_warnings()
        try:
            return work() or 0
        except FitfleetError as error:
            say(f"error: {error}")
            return exit_code(error)
        except KeyboardInterrupt:
            say("interrupted")
            return INTERRUPTED
        except BrokenPipeError:
            # The reader of a pipe, such as head, has gone.
            sys.stderr.close()
            return 0


def quiet_tensorflow() -> None:
    """Import TensorFlow without its messages on stderr; Keras's warning of a wanted .h5 is off too.

    Where it is not installed, what needs it says so.
    """
    from fitfleet.worker.process.device import captured_stderr

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    with suppress(ImportError), captured_stderr():
        importlib.import_module("tensorflow")


def say(line: str) -> None:
    """A sentence on stderr, in one line or more."""
    print(printable_lines(line), file=sys.stderr)


def tell(line: object) -> None:
    """The same on stdout."""
    print(printable_lines(line))
