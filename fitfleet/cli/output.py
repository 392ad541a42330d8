"""Printing: tables for people, JSON for scripts."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fitfleet.client.display.display import status_text
from fitfleet.client.display.names import labels
from fitfleet.states import JobStatus
from fitfleet.text import duration, printable

if TYPE_CHECKING:
    import pandas as pd

    from fitfleet.db.reading.lookup import JobRow

# In a pipe nothing is cut off to fit a screen.
_PIPE_WIDTH = 400


def console() -> Console:
    """The console on stdout. Text is shown as it is: names are no markup."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def title(text: str, more: str = "") -> Text:
    """A line in bold, and what follows it."""
    return Text(printable(text), style="bold").append(printable(more), style="not bold")


def print_json(value: Any) -> None:
    """JSON on stdout; a value that is not a finite number becomes null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def job_document(row: JobRow, values: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    """A job for --json. Times are ISO 8601 in UTC."""
    return {
        "job": row.id,
        "experiment": row.experiment,
        "status": row.status.value,
        "params": row.params,
        "seed": row.seed,
        "epoch": row.epoch,
        "epochs": row.epochs,
        "kept_epoch": row.kept_epoch,
        "nan_epoch": row.nan_epoch,
        "stopped_by": row.stopped_by,
        "attempt": row.attempt,
        "worker": row.worker_name or row.owner,
        "seconds": row.seconds,
        "train_seconds": row.train_seconds,
        "submitted_at": iso(row.submitted_at),
        "started_at": iso(row.started_at),
        "finished_at": iso(row.finished_at),
        "failure_class": row.failure_class,
        "failure_message": row.failure_message,
        "metrics": values,
        "scores": scores,
    }


def job_table(rows: Sequence[JobRow], values: dict[int, dict[str, Any]]) -> Table:
    """A line a job; the loss and the validation loss of the weights it keeps."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("job", justify="right")
    for name in ("experiment", "status", "params", "epoch"):
        table.add_column(name, overflow="fold" if name == "params" else "ellipsis")
    for name in ("loss", "val_loss", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", overflow="ellipsis", no_wrap=True, style="dim")
    for row, label in zip(rows, labels(rows), strict=True):
        last = values.get(row.id, {})
        table.add_row(
            str(row.id),
            printable(row.experiment),
            status_text(row.status),
            label,
            f"{row.epoch}/{row.epochs}",
            number(last.get("loss")),
            number(last.get("val_loss")),
            duration(row.seconds) if row.seconds else "",
            _note(row),
        )
    return table


def _note(row: JobRow) -> str:
    if row.status is JobStatus.FAILED:
        return printable(f"{row.failure_class}: {row.failure_message}")
    if row.request:
        return f"{row.request} asked for"
    if row.remark:
        return row.remark
    return printable(row.worker_name or row.owner or "")


def frame_table(frame: pd.DataFrame) -> Table:
    """A DataFrame as a table; empty columns are left out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = [name for name in frame.columns if frame[name].notna().any()]
    for name in names:
        is_number = frame[name].dtype.kind in "fiu"
        table.add_column(printable(name), justify="right" if is_number else "left")
    for line in frame[names].itertuples(index=False):
        table.add_row(*[printable(number(value)) for value in line])
    return table


def frame_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a DataFrame for --json."""
    return [
        dict(zip(map(str, frame.columns), line, strict=True))
        for line in frame.itertuples(index=False, name=None)
    ]


def pairs_table(pairs: Iterable[tuple[str, Any]]) -> Table:
    """Two columns: a name and what there is to say; empty ones are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, ""):
            plain = value if isinstance(value, Text) else printable(value)
            table.add_row(printable(name), plain)
    return table


def number(value: Any) -> str:
    """A float in four digits that count; anything else as it is."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def iso(seconds: float | None) -> str | None:
    """A time of the database as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def local_time(seconds: float | None) -> str:
    """A time of the database on this machine's clock."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
