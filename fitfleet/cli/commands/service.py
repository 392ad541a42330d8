"""`worker`, `scheduler`, `workers`, `drain`, `db upgrade`, `doctor`, `settings` and `version`."""

from __future__ import annotations

import json
import logging
import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from fitfleet.cli import completion
from fitfleet.cli.command import JsonOption, Target, command, hide_passwords, say, tell
from fitfleet.cli.exit_codes import UNREACHABLE
from fitfleet.cli.service_start import changed, limit_s, serve_api, serve_worker, sizes

MetricsOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="Serve /metrics, /healthz and /readyz there: 127.0.0.1:9600."
    ),
]
LogLevel = Annotated[
    str | None, typer.Option(help="debug, info, warning or error (default: info).")
]

LogFormat = Annotated[str | None, typer.Option(help="text, or json: one object per line.")]

Queue = Annotated[str | None, typer.Option(help="Queue to serve (default: cpu).")]
Slots = Annotated[int | None, typer.Option(min=1, help="Jobs to run at once.")]
Threads = Annotated[
    int | None, typer.Option(min=0, help="TensorFlow intra-op threads per job; 0: one per core.")
]
Gpus = Annotated[str | None, typer.Option(help="GPUs, as in CUDA_VISIBLE_DEVICES.")]
Label = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="A label of its slots, which jobs may require."),
]
MinFreeGpu = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory to leave free on each GPU: 4G.")
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Host memory that jobs on the CPU may use together."),
]
ExitWhenIdle = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Exit after this long without a job: 120, 90s, 30m."),
]


@command
def worker(
    target: Target,
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
    """Run jobs until stopped. SIGTERM drains: running jobs checkpoint and requeue."""
    from fitfleet.service_log import start_logging
    from fitfleet.worker.process.draining import exit_now

    hide_passwords(target)
    idle_s = limit_s("--exit-when-idle", exit_when_idle)
    changes: dict[str, Any] = {"queue": queue, "slots": slots, "threads": threads, "gpus": gpus}
    changes |= {"log_level": log_level, "log_format": log_format}
    changes |= sizes(min_free_gpu, memory_limit)
    settings = changed(target.settings(), **changes, labels=tuple(label) if label else None)
    start_logging(settings)
    exit_now(serve_worker(settings, metrics, idle_s))


@command
def scheduler(
    target: Target,
    api: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Serve the HTTP API there too, as `fitfleet api` does."
        ),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate of the API, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    metrics: MetricsOption = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Dispatch waiting jobs and requeue lost ones until stopped."""
    from fitfleet.db.session import Database
    from fitfleet.scheduler.maintenance import steps
    from fitfleet.scheduler.monitoring import serve
    from fitfleet.scheduler.service import Scheduler
    from fitfleet.service_log import log_start, start_logging

    hide_passwords(target)
    settings = target.settings()
    settings = settings.replace(
        log_level=log_level or settings.log_level, log_format=log_format or settings.log_format
    )
    start_logging(settings)
    database = Database(settings.database_url)
    database.check_schema()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log_start("scheduler", settings)
    loop = Scheduler(settings, database)
    loop.steps += steps(settings)
    if metrics is not None:
        say(f"metrics on port {serve(metrics, settings, database, loop)}")
    if api is not None:
        serve_api(settings, api, certificate, key)
    loop.run(stop)
    logging.getLogger("fitfleet.service").info("scheduler ended")


@command
def workers(target: Target, as_json: JsonOption = False) -> None:
    """List running worker slots."""
    from fitfleet.cli.output import console, frame_table, print_json
    from fitfleet.db.fleet import workers as worker_table

    rows: list[dict[str, Any]] = []
    if target.has_database():
        with target.fleet().database.read() as c:
            rows = worker_table.live(c, target.fleet().settings.lease_s)
    if as_json:
        print_json([_slot_document(row) for row in rows])
    elif not rows:
        tell("No worker is running. Start one with: fitfleet worker")
    else:
        import pandas as pd

        names = ["name", "queue", "device", "is_draining", "service", "labels"]
        table = pd.DataFrame(rows)[names].rename(columns={"is_draining": "draining"})
        table["labels"] = [_told_labels(text) for text in table["labels"]]
        console().print(frame_table(table))


def _told_labels(text: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in json.loads(text).items())


def _slot_document(row: dict[str, Any]) -> dict[str, Any]:
    from fitfleet.cli.output import iso

    times = {name: iso(row[name]) for name in ("started_at", "heartbeat_at", "ended_at")}
    documents = {name: json.loads(row[name] or "{}") for name in ("versions", "labels")}
    return {**row, **times, **documents}


@command
def drain(
    target: Target,
    worker: Annotated[
        str,
        typer.Argument(
            help="Worker, slot or host, as `fitfleet workers` names it.",
            autocompletion=completion.workers,
        ),
    ],
) -> None:
    """Stop a worker remotely: its jobs checkpoint and requeue."""
    from fitfleet.db.fleet import workers as worker_table

    with target.fleet().database.begin() as c:
        for service in worker_table.drain(c, worker):
            tell(f"draining {service}: jobs checkpoint and requeue")


@command
def upgrade(
    target: Target,
    is_dry: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
) -> None:
    """Create or upgrade the tables; an SQLite file is copied first."""
    from fitfleet.cli.command import sqlite_file
    from fitfleet.db.migrations.revisions import changes_since, newest_version
    from fitfleet.db.session import Database

    settings = target.settings()
    file = sqlite_file(settings.database_url)
    if file is not None:
        file.absolute().parent.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    before = database.schema_version()
    changes = changes_since(before)
    if changes and is_dry:
        for revision, text in changes:
            tell(f"{revision}  {text}")
        return
    backup = database.back_up() if changes and before is not None else None
    database.upgrade()
    if not changes:
        tell(f"{database.place} is at schema {newest_version()} already")
        return
    done = f"from schema {before} to" if before else "created at schema"
    tell(f"{database.place}: {done} {newest_version()}")
    if backup is not None:
        tell(f"as it was before: {backup}")


@command
def doctor(target: Target, as_json: JsonOption = False) -> int:
    """Check broker, database, storage, data root, devices, versions and clock."""
    from rich.text import Text

    from fitfleet.cli.output import console, print_json
    from fitfleet.client.doctor.doctor import examine

    findings = examine(target.settings())
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        screen = console()
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = Text("ok  ", "green") if finding.is_ok else Text("FAIL", "bold red")
            screen.print(mark, f" {finding.name:{width}}  {finding.detail}", soft_wrap=True)
            if not finding.is_ok:
                screen.print(f"      {'':{width}}fix: {finding.fix}", soft_wrap=True)
    return 0 if all(finding.is_ok for finding in findings) else UNREACHABLE


@command
def settings(target: Target, as_json: JsonOption = False) -> None:
    """List all settings with their current values and meanings."""
    from rich.table import Table

    from fitfleet.cli.output import console, print_json

    here = target.settings()
    values = here.shown()
    rows = [(name, values[name], help) for name, _, help in here.table()]
    if as_json:
        print_json([{"name": n, "value": v, "help": h} for n, v, h in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("setting", "value", "meaning"):
        table.add_column(name, overflow="fold")
    for name, value, help in rows:
        shown = ", ".join(value) if isinstance(value, tuple) else str(value)
        table.add_row(name, shown, help)
    console().print(table)
    tell("Set them by FITFLEET_<NAME>, fitfleet.toml, or as arguments of ff.local and ff.connect.")


def version(as_json: JsonOption = False) -> None:
    """Print the versions of fitfleet, Python and the packages that workers use."""
    from fitfleet.cli.output import print_json
    from fitfleet.client.doctor.doctor import versions

    installed = versions()
    if as_json:
        print_json(installed)
        return
    for name, value in installed.items():
        tell(f"{name} {value or 'not installed'}")
