"""`up`, `down` and `status`: the background fleet of a directory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fitfleet.cli.command import JsonOption, Target, Trust, command, tell
from fitfleet.cli.exit_codes import UNREACHABLE

if TYPE_CHECKING:
    from fitfleet.embedded.background_record import Record, Stay

_DIRECTORY = Path(".fitfleet")


@command
def up(
    target: Target,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes.")] = 2,
    keep: Annotated[
        str, typer.Option(help="Exit after nothing has run for this long: 90s, 30m, 1h, 2d.")
    ] = "1h",
    trust: Trust = None,
) -> None:
    """Start a fleet in the background; scripts of its directory join it with `ff.local`."""
    from fitfleet.embedded.launch import chosen_settings, joined

    stay = _stay(target)
    before = stay.read()
    chosen = chosen_settings(workers, stay.directory, trust or (), target.given)
    fleet = joined(stay, chosen, workers, keep)
    assert fleet is not None
    fleet.close()
    record = stay.read()
    assert record is not None
    is_there = before is not None and before.pid == record.pid
    tell(f"{'already running' if is_there else 'started'}: {_sentence(record, stay)}")


@command
def down(target: Target) -> None:
    """Stop the background fleet; its running jobs checkpoint and requeue."""
    stay = _stay(target)
    with stay.turn():
        has_ended = stay.end()
    tell(
        f"stopped: {stay.directory}"
        if has_ended
        else f"no background fleet runs in {stay.directory}"
    )


@command
def status(target: Target, as_json: JsonOption = False) -> int:
    """Show whether a background fleet runs in the directory, and since when."""
    from fitfleet.cli.output import print_json

    stay = _stay(target)
    record = stay.read()
    if as_json:
        print_json(_document(record, stay))
    elif record is None:
        tell(f"no background fleet runs in {stay.directory}; start one with: fitfleet up")
    else:
        tell(_sentence(record, stay))
        tell(f"idle for {stay.idle_s():.0f} s; its log is {stay.log}")
    return 0 if record is not None else UNREACHABLE


def _stay(target: Target) -> Stay:
    from fitfleet.embedded.background_record import Stay

    return Stay(target.directory or _DIRECTORY)


def _sentence(record: Record, stay: Stay) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.started_at))
    return (
        f"a fleet of {record.workers} workers in {stay.directory} (process {record.pid}, since"
        f" {since}), until nothing has run for {record.keep_s:g} s"
    )


def _document(record: Record | None, stay: Stay) -> dict[str, Any]:
    from dataclasses import asdict

    if record is None:
        return {"is_up": False}
    return {"is_up": True, **asdict(record), "idle_s": stay.idle_s(), "log": str(stay.log)}
