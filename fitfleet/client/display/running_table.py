"""The table of running jobs, fitted to the width there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fitfleet.client.display.names import labels
from fitfleet.client.display.progress_snapshot import RunningJob
from fitfleet.text import printable

_GAP = 2
_BARS = (16, 8)  # widths of the bar of epochs, the first that fits
_MIN_WIDTH = 12  # of the column that tells jobs apart
_NAME = 14  # of a metric


@dataclass
class _Column:
    """A column of text, as wide as its widest cell."""

    name: str
    cells: list[str]
    style: str = ""
    is_number: bool = True

    @property
    def width(self) -> int:
        return max(map(cell_len, [self.name, *self.cells]))


def running_table(jobs: Sequence[RunningJob], width: int, duration: Callable[..., str]) -> Table:
    """A line a job, no wider than `width`.

    By worth: job, what tells it from the others, epochs, loss, a metric of the validation, time
    left, a bar of the epochs, further metrics, the worker. What does not fit is left out from the
    end; of what tells jobs apart the end is cut.
    """
    first = _Column("job", [str(job.id) for job in jobs])
    label_column = _Column("", labels(jobs, only_differing=True), is_number=False)
    epochs = _Column("epoch", [f"{job.epoch}/{job.epochs}" for job in jobs])
    names = _metrics(jobs)
    metrics = [_metric(name, jobs) for name in names]
    left = _Column("left", [duration(job.seconds_left) for job in jobs])
    shown = [first, epochs, *metrics[:2], left]
    while len(shown) > 2 and _needed(shown) + _GAP + min(label_column.width, _MIN_WIDTH) > width:
        shown.pop()
    room = width - _needed(shown) - 2 * _GAP
    bar = next(
        (b for b in _BARS if shown[-1] is left and b + min(label_column.width, 24) <= room), 0
    )
    room -= bar + _GAP if bar else 0
    more = []
    worker = _Column("worker", [printable(job.worker) for job in jobs], "dim", is_number=False)
    for column in [*metrics[2:4], worker] if bar else []:
        if min(label_column.width, 40) + column.width + _GAP > room:
            break
        more.append(column)
        room -= column.width + _GAP
    return _table(
        jobs, label_column, min(label_column.width, max(room, 1)), bar, [*shown, *more], epochs
    )


def _needed(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _table(
    jobs: Sequence[RunningJob],
    label_column: _Column,
    width: int,
    bar: int,
    columns: Sequence[_Column],
    epochs: _Column,
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    job, *others = columns
    table.add_column(job.name, justify="right", no_wrap=True, width=job.width)
    table.add_column(label_column.name, no_wrap=True, overflow="ellipsis", width=width)
    if bar:
        table.add_column("", width=bar)
    for column in others:
        table.add_column(
            Text(column.name),
            justify="right" if column.is_number else "left",
            no_wrap=True,
            width=column.width,
            style=column.style,
        )
    for i, shown in enumerate(jobs):
        cells: list[RenderableType] = [Text(job.cells[i]), Text(label_column.cells[i])]
        if bar:
            cells.append(ProgressBar(total=max(shown.epochs, 1), completed=shown.epoch, width=bar))
        table.add_row(*cells, *[Text(column.cells[i]) for column in others])
    return table


def _metric(name: str, jobs: Sequence[RunningJob]) -> _Column:
    values = [job.last.get(name) for job in jobs]
    cells = ["" if value is None else f"{value:.4g}" for value in values]
    shown = printable(name)
    return _Column(shown if len(shown) <= _NAME else f"{shown[: _NAME - 1]}…", cells)


def _metrics(jobs: Sequence[RunningJob]) -> list[str]:
    """The loss, then the validation's loss or else its first metric, then the others."""
    names = {name for job in jobs for name in job.last} - {"learning_rate"}
    rest = sorted(names, key=lambda name: (not name.startswith("val_"), name))
    order = ["loss", "val_loss", *rest]
    return [name for name in dict.fromkeys(order) if name in names]
