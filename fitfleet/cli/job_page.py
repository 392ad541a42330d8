"""One job on one page, as `fitfleet show` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitfleet.cli.output import console, frame_table, local_time, number, pairs_table, title
from fitfleet.client.display.display import status_text
from fitfleet.text import duration, printable, printable_lines

if TYPE_CHECKING:
    from fitfleet.client.job import Job
    from fitfleet.db.reading.lookup import JobRow

# A long curve is shown by its first and last epochs.
_CURVE_LINES = 12


def job_page(job: Job) -> None:
    """Print it."""
    screen = console()
    screen.print(_head(job))
    _history(screen, job)
    scores = job.scores
    if scores:
        screen.print()
        screen.print(title("scores"))
        screen.print(pairs_table((name, number(value)) for name, value in scores.items()))
    _attempts(screen, job)
    _failure(screen, job)


def _head(job: Job) -> Table:
    row = job.row
    params = " ".join(f"{name}={number(value)}" for name, value in row.params.items())
    engine = f"{row.engine} ({row.engine_reason})" if row.engine_reason else row.engine
    size = "" if row.artifact_bytes is None else f", {row.artifact_bytes:,} bytes"
    weights = f"{job.weights_path}{size}" if row.artifact_path else None
    return pairs_table(
        [
            ("job", f"{row.id} in {row.experiment}"),
            ("status", status_text(row.status)),
            ("params", params),
            ("continues", _parents(job)),
            ("seed", row.seed),
            ("epochs", f"{row.epoch} of {row.epochs}"),
            ("ended", row.stopped_by and f"by its {row.stopped_by}, before its last epoch"),
            ("weights of", _kept(row)),
            (
                "loss",
                None if row.nan_epoch is None else f"not finite from epoch {row.nan_epoch} on",
            ),
            ("parameters", None if row.parameters is None else f"{row.parameters:,}"),
            ("submitted", local_time(row.submitted_at)),
            ("started", local_time(row.started_at)),
            ("finished", local_time(row.finished_at)),
            ("time", _time(row)),
            ("worker", row.worker_name or row.owner),
            ("engine", engine),
            ("asked for", row.request),
            ("weights", weights),
        ]
    )


def _parents(job: Job) -> str | None:
    """The jobs of earlier generations, the last one first."""
    earlier = job.lineage["job_id"].tolist()[-2::-1]
    return "job " + ", which continues job ".join(map(str, earlier)) if earlier else None


def _time(row: JobRow) -> str | None:
    if not row.seconds:
        return None
    trained = "" if row.train_seconds is None else f", {row.train_seconds:.3g} s of it in epochs"
    return duration(row.seconds) + trained


def _kept(row: JobRow) -> str | None:
    return None if row.shown_epoch == row.epoch else f"epoch {row.shown_epoch}, the best one"


def _history(screen: Console, job: Job) -> None:
    import pandas as pd

    history = job.history
    if not len(history):
        return
    screen.print()
    screen.print(title("history"))
    if len(history) > _CURVE_LINES:
        half = _CURVE_LINES // 2
        screen.print(frame_table(pd.concat([history.head(half), history.tail(half)])))
        screen.print(f"{len(history) - 2 * half} epochs between them are left out", style="dim")
    else:
        screen.print(frame_table(history))


def _attempts(screen: Console, job: Job) -> None:
    attempts = job.attempts
    if len(attempts) < 2:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("attempt", "from epoch", "started", "outcome", "worker", "message"):
        table.add_column(name, overflow="fold")
    for attempt in attempts:
        table.add_row(
            str(attempt["attempt"]),
            number(attempt["first_epoch"]),
            local_time(attempt["started_at"]),
            attempt["outcome"] or "running",
            printable(attempt["worker_name"] or attempt["worker"]),
            printable(attempt["message"] or ""),
        )
    screen.print()
    screen.print(title("attempts"))
    screen.print(table)


def _failure(screen: Console, job: Job) -> None:
    error = job.error
    if error is None:
        return
    screen.print(Text(f"\n{printable_lines(error)}", style="bold red"))
    if error.traceback:
        screen.print(Text(printable_lines(error.traceback.rstrip()), style="dim"))
    screen.print(f"Its output: fitfleet logs {job.id}. Try again: fitfleet retry {job.id}")
