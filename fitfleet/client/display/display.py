"""The live progress display of a wait: one line per running job, and the totals."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from fitfleet.client.display.notebook import Cell
from fitfleet.client.display.progress_snapshot import Snapshot
from fitfleet.client.display.running_table import running_table
from fitfleet.client.wait_reasons import NO_WORKER
from fitfleet.db.reading.lookup import JobRow
from fitfleet.states import JobStatus
from fitfleet.text import duration, printable, printable_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

_LIVE_S = 0.25
_PIPE_S = 30.0
FAILURES = 5  # that are named at the end

_COLOURS = {
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.PRUNED: "yellow",
    JobStatus.RUNNING: "cyan",
}


class Display:
    """Shows snapshots: live on a terminal and in a notebook, a line every half minute in a pipe."""

    def __init__(self, console: Console, heading: str = "") -> None:
        self.console = console
        self._heading = heading
        self._live: Live | Cell | None = None
        self._began = self._said_at = time.monotonic()
        self._first_done: int | None = None

    @property
    def every_s(self) -> float:
        """How often a snapshot is of use."""
        return _LIVE_S if self._has_screen else _PIPE_S

    @contextmanager
    def shown(self) -> Iterator[Display]:
        """Keep the display on the screen; it is wiped at the end."""
        if not self._has_screen:
            yield self
            return
        live = _live(self.console)
        with live:
            self._live = live
            yield self
        self._live = None

    @property
    def _has_screen(self) -> bool:
        return self.console.is_terminal or self.console.is_jupyter

    def conclude(
        self,
        counts: Mapping[JobStatus, int],
        failed: Sequence[JobRow] = (),
        *,
        is_raised: bool = False,
    ) -> None:
        """After the end, totals on a screen, and a line for each of the first failures, `failed`.

        `is_raised`: an error that follows tells the first failure.
        """
        total = sum(counts.values())
        if not total:
            return
        if self._has_screen:
            self._conclude_totals(counts, total)
        for row in failed[is_raised:FAILURES]:
            line = f"job {row.id} failed: {row.failure_class}: {row.failure_message}"
            self.console.print(Text(printable_lines(line), style="red"), soft_wrap=True)
        more = counts.get(JobStatus.FAILED, 0) - len(failed[:FAILURES])
        if more > 0:
            remainder = f"... and {more} more failed: fitfleet ps --status FAILED"
            self.console.print(remainder, style="red", soft_wrap=True)

    def _conclude_totals(self, counts: Mapping[JobStatus, int], total: int) -> None:
        totals = ", ".join(
            f"{count} {status.value.lower()}" for status, count in sorted(counts.items())
        )
        jobs = "1 job" if total == 1 else f"{total} jobs"
        took = duration(time.monotonic() - self._began)
        self.console.print(f"{jobs} ended after {took}: {totals}", highlight=False)

    def draw(self, snapshot: Snapshot) -> None:
        """Show this state."""
        if self._first_done is None:
            self._first_done = snapshot.epochs_done
        if self._live is not None:
            self._live.update(self.render(snapshot), refresh=True)
        elif not self._has_screen and time.monotonic() - self._said_at >= _PIPE_S:
            self._said_at = time.monotonic()
            line = self._totals(snapshot)
            for hint in _hints(snapshot):
                line.append(f"; {printable(hint)}", style="not bold")
            self.console.print(line, soft_wrap=True)

    def render(self, snapshot: Snapshot) -> RenderableType:
        """The picture of a snapshot."""
        parts: list[RenderableType] = [Text(printable(self._heading))] if self._heading else []
        if snapshot.running:
            parts.append(self._table(snapshot))
        parts.append(self._totals(snapshot))
        parts += [Text(printable(line), style="yellow") for line in _hints(snapshot)]
        return Group(*parts)

    def _table(self, snapshot: Snapshot) -> RenderableType:
        running, room = snapshot.running, max(self.console.height - 6, 3)
        count = max(len(running), snapshot.counts.get(JobStatus.RUNNING, 0))
        table = running_table(running[:room], self.console.width, duration)
        if count <= room:
            return table
        return Group(table, Text(f"... and {count - min(room, len(running))} more", style="dim"))

    def _totals(self, snapshot: Snapshot) -> Text:
        text = Text(f"{snapshot.ended} of {snapshot.jobs} jobs ended", style="bold")
        for status in (JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PRUNED, JobStatus.RUNNING):
            count = snapshot.counts.get(status, 0)
            if count:
                text.append(f"  {count} {status.value.lower()}", style=_COLOURS[status])
        waiting = sum(snapshot.counts.get(s, 0) for s in (JobStatus.QUEUED, JobStatus.DISPATCHED))
        if waiting:
            text.append(f"  {waiting} waiting", style="not bold")
        text.append(f"  {duration(time.monotonic() - self._began)}", style="not bold")
        left = self._seconds_left(snapshot)
        if left is not None:
            text.append(f", about {duration(left)} left", style="not bold")
        return text

    def _seconds_left(self, snapshot: Snapshot) -> float | None:
        done = snapshot.epochs_done - (self._first_done or 0)
        left = snapshot.epochs - snapshot.epochs_done
        if done <= 0 or left <= 0:  # what is evaluated and saved after the last epoch is not known
            return None
        if not snapshot.counts.get(JobStatus.RUNNING):  # when the next job begins is not known
            return None
        return max(left * (time.monotonic() - self._began) / done, 1.0)


def _live(console: Console) -> Live | Cell:
    if console.is_jupyter:
        return Cell()
    return Live(console=console, transient=True, auto_refresh=False)


def _hints(snapshot: Snapshot) -> list[str]:
    """Why nothing may be running."""
    lines = [
        f"experiment {name} is paused; resume it with: fitfleet resume {name}"
        for name in snapshot.paused
    ]
    lines += snapshot.obstacles
    if not snapshot.slots and not snapshot.running and snapshot.ended < snapshot.jobs:
        lines.append(NO_WORKER)
    elif not (snapshot.running or snapshot.ended or snapshot.paused or snapshot.obstacles):
        lines.append("a worker loads TensorFlow before its first job, which takes some seconds")
    return lines


def status_text(status: JobStatus) -> Text:
    """A status in its colour."""
    return Text(status.value, style=_COLOURS.get(status, ""))
