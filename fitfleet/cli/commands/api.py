"""`api` and `join`: the fleet for clients and hosts that have a URL and a token."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitfleet.cli.command import Target, command, hide_passwords, say
from fitfleet.cli.commands.service import (
    ExitWhenIdle,
    Gpus,
    Label,
    LogFormat,
    LogLevel,
    MemoryLimit,
    MetricsOption,
    MinFreeGpu,
    Queue,
    Slots,
    Threads,
)
from fitfleet.cli.exit_codes import UNREACHABLE
from fitfleet.cli.service_start import changed, limit_s, serve_worker, sizes
from fitfleet.interrupts import exit_on_sigterm

if TYPE_CHECKING:
    from fitfleet.settings import Settings

Certificate = Annotated[
    Path | None, typer.Option(help="TLS certificate of the API in PEM, with its chain.")
]
Key = Annotated[
    Path | None, typer.Option(help="Its private key (default: in the certificate's file).")
]
# What keeps a host from joining; the others tell of the fleet, which may change.
_OF_THE_FLEET = ("scheduler", "queue")


@command
def api(
    target: Target,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address and port to listen on.")
    ] = "127.0.0.1:9500",
    certificate: Certificate = None,
    key: Key = None,
    metrics: MetricsOption = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Serve the HTTP API for clients and for hosts that join, each with a token."""
    from fitfleet import probes
    from fitfleet.api.serve import ApiServer, Options
    from fitfleet.client.fleet import Fleet
    from fitfleet.db.session import Database
    from fitfleet.service_log import log_start, start_logging

    hide_passwords(target)
    settings = changed(target.settings(), log_level=log_level, log_format=log_format)
    start_logging(settings)
    database = Database(settings.database_url)
    database.check_schema()
    log_start("API", settings)
    server = ApiServer(Fleet(settings, database), Options(listen, certificate, key))
    if metrics is not None:
        pages = {
            "/healthz": probes.health(lambda: True, ""),
            "/readyz": probes.health(lambda: server.is_serving, "it does not serve yet"),
        }
        say(f"probes on port {probes.serve(metrics, pages)}")
    for line in server.told():
        say(line)
    server.run()


@command
def join(
    target: Target,
    address: Annotated[str, typer.Argument(help="The API of the fleet: https://host:9500.")],
    token: Annotated[
        str | None, typer.Option(help="A token of scope work. [FITFLEET_TOKEN]")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(help="CA certificate that signed the API's certificate. [FITFLEET_CA_FILE]"),
    ] = None,
    queue: Queue = None,
    slots: Slots = None,
    threads: Threads = None,
    gpus: Gpus = None,
    label: Label = None,
    min_free_gpu: MinFreeGpu = None,
    memory_limit: MemoryLimit = None,
    exit_when_idle: ExitWhenIdle = None,
    metrics: MetricsOption = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> int:
    """Run a worker on this host, with the settings that the fleet's HTTP API gives it."""
    from fitfleet.client.remote.connection import Connection
    from fitfleet.client.remote.host_settings import joined_settings
    from fitfleet.service_log import start_logging

    _hide_token(token)
    # The folder of certificates goes however the service ends; Celery's own handler comes later.
    exit_on_sigterm()
    idle_s = limit_s("--exit-when-idle", exit_when_idle)
    changes: dict[str, Any] = {"queue": queue, "slots": slots, "threads": threads, "gpus": gpus}
    changes |= {"log_level": log_level, "log_format": log_format, "url": address}
    changes |= {"labels": tuple(label) if label else None, "ca_file": str(ca) if ca else None}
    changes |= sizes(min_free_gpu, memory_limit)
    here = changed(target.settings(), **changes)
    with TemporaryDirectory(prefix="fitfleet-join-") as folder:
        connection = Connection(here.url, here.token, here.ca_file)
        settings = joined_settings(connection, here, Path(folder))
        start_logging(settings)
        return serve_worker(settings, metrics, idle_s, _checked)


def _checked(settings: Settings) -> Settings:
    """Check this host as `doctor` does, less what the worker's child finds out itself.

    SystemExit if it cannot reach the fleet.
    """
    from fitfleet.client.doctor.doctor import examine_host

    findings = [finding for finding in examine_host(settings) if not finding.is_ok]
    for finding in findings:
        say(f"{finding.name}: {finding.detail}; fix: {finding.fix}")
    if {f.name for f in findings} - set(_OF_THE_FLEET):
        raise SystemExit(UNREACHABLE)
    return settings


def _hide_token(token: str | None) -> None:
    """Restart this command with the token in its environment: others can read its options."""
    if token is None:
        return
    left, rest = [], iter(sys.argv[1:])
    for argument in rest:
        if argument == "--token":
            next(rest, None)
        elif not argument.startswith("--token="):
            left.append(argument)
    environment = {**os.environ, "FITFLEET_TOKEN": token}
    os.execve(sys.executable, [sys.executable, "-m", "fitfleet", *left], environment)
