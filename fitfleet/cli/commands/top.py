"""`top`: queues, slots and hosts, live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from fitfleet.cli.command import Target, command
from fitfleet.text import duration, printable, size

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from fitfleet.client.fleet import Fleet

_LEFT = ("queue", "host", "waits for")  # the columns of text


@command
def top(
    target: Target,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between updates.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once and exit.")] = False,
) -> None:
    """Show queues, slots and hosts live until Ctrl-C; in a pipe once."""
    from rich.live import Live

    from fitfleet.cli.output import console

    fleet = target.fleet()
    screen = console()
    if once or not screen.is_terminal:
        screen.print(_view(fleet))
        return
    with Live(_view(fleet), console=screen, screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(_view(fleet), refresh=True)


def _view(fleet: Fleet) -> RenderableType:
    from rich.console import Group

    return Group(_queues(fleet), "", _hosts(fleet))


def _queues(fleet: Fleet) -> Table:
    from fitfleet.db.reading import gauges

    alive_s = fleet.settings.lease_s
    with fleet.database.read() as c:
        jobs = gauges.jobs_by_status(c)
        waiting = gauges.waiting_by_reason(c, alive_s)
        slots = gauges.slots_by_state(c, alive_s)
    states = ("busy", "free", "draining", "silent")
    table = _table("queue", "running", "waiting", "oldest", *states, "waits for")
    for queue in sorted({queue for queue, _ in [*jobs, *slots]}):
        held = {why: count for (name, why), count in waiting.items() if name == queue}
        count = sum(jobs.get((queue, status), 0) for status in ("QUEUED", "DISPATCHED"))
        oldest = max((seconds for _, seconds in held.values()), default=None)
        table.add_row(
            printable(queue),
            str(jobs.get((queue, "RUNNING"), 0)),
            str(count),
            duration(oldest),
            *(str(slots.get((queue, state), 0) or "") for state in states),
            ", ".join(f"{number} {_WORDS[why]}" for why, (number, _) in sorted(held.items())),
        )
    return table


_WORDS = {
    "no_worker": "for a worker of the queue",
    "labels": "for a slot that has what they ask",
    "paused": "paused",
    "backoff": "until they are tried again",
    "slot": "for a free slot",
}


def _hosts(fleet: Fleet) -> Table:
    from fitfleet.db.fleet import workers
    from fitfleet.db.reading import gauges

    with fleet.database.read() as c:
        loads = gauges.host_loads(c, fleet.settings.lease_s)
        live = workers.live(c, fleet.settings.lease_s)
    table = _table("host", "slots", "CPU", "memory", "GPU", "GPU memory")
    for load in loads:
        values = load.values
        table.add_row(
            printable(load.host),
            str(sum(slot["host"] == load.host for slot in live)),
            _percent(values.get("cpu_percent")),
            size(values.get("memory_bytes")),
            _percent(values.get("gpu_percent")),
            size(values.get("gpu_memory_bytes")),
        )
    return table


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} %"


def _table(*names: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in _LEFT else "right")
    return table
