"""What the live display shows, and that it is silent in a pipe."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

import fitfleet as ff
from fitfleet.client.display import Display, duration
from fitfleet.client.snapshot import RunningJob, Snapshot, take
from fitfleet.db.tables import attempts, jobs
from fitfleet.states import JobStatus

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")

RUNNING = [
    RunningJob(
        id=number,
        experiment="digits",
        params={"units": 32, "rate": 0.001},
        epoch=3,
        epochs=5,
        last={"loss": 1.2345678, "val_loss": 1.4, "accuracy": None},
        worker="box:42:1",
        seconds_left=12.2,
    )
    for number in range(1, 61)
]


def snapshot(running: int, slots: int = 2, paused: tuple[str, ...] = ()) -> Snapshot:
    counts = {
        JobStatus.SUCCEEDED: 12,
        JobStatus.FAILED: 1,
        JobStatus.RUNNING: running,
        JobStatus.QUEUED: 45,
    }
    return Snapshot(counts, 300, 900, RUNNING[:running], slots, list(paused))


def rendered(state: Snapshot) -> str:
    console = Console(file=io.StringIO(), width=120, height=30, force_terminal=False)
    console.print(Display(console).render(state))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_running_job_is_a_line_with_all_that_matters() -> None:
    line = next(line for line in rendered(snapshot(2)).splitlines() if "3/5" in line)
    for shown in ("1", "32", "0.001", "1.235", "1.4", "box:42:1", "12 s"):
        assert shown in line


def test_totals_count_every_state() -> None:
    text = rendered(snapshot(2))
    for shown in ("13 of 60 jobs ended", "1 failed", "2 running", "45 waiting"):
        assert shown in text


def test_more_jobs_than_lines_are_counted() -> None:
    text = rendered(snapshot(60))
    assert "... and 36 more" in text
    assert len(text.splitlines()) <= 30


def test_it_says_why_nothing_goes_on() -> None:
    assert "fitfleet worker" in rendered(snapshot(0, slots=0))
    assert "digits is paused" in rendered(snapshot(0, paused=("digits",)))
    fresh = Snapshot({JobStatus.QUEUED: 3}, 0, 9, [], 2, [])
    assert "loads TensorFlow" in rendered(fresh)
    assert "loads TensorFlow" not in rendered(snapshot(2))


def test_the_time_left_of_a_resumed_job_is_not_told_before_its_fit_goes_on(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    handle = fleet.submit(**{**job, "epochs": 400})
    attempt = {"job_id": handle.id, "attempt": 2, "worker": "box:1:0", "started_at": 1.0}
    with fleet.database.begin() as c:
        c.execute(jobs.update().values(status="RUNNING", epoch=137, attempt=2))
        c.execute(attempts.insert(), attempt)
    (line,) = take(fleet.database, [handle.id]).running
    assert line.seconds_left is None
    with fleet.database.begin() as c:
        c.execute(attempts.update().values(first_epoch=136))
    (line,) = take(fleet.database, [handle.id]).running
    assert line.seconds_left is not None and line.seconds_left > 0


def test_nothing_is_drawn_in_a_pipe() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    display = Display(console)
    with display.shown():
        assert not display.is_shown
        display.draw(snapshot(2))
    display.conclude([])
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (7.6, "8 s"), (192, "3 min 12 s"), (7505, "2 h 05 min")]
)
def test_durations_read_as_people_say_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_a_heading_is_the_first_line() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    display = Display(console, "dashboard: http://127.0.0.1:8787/")
    console.print(display.render(snapshot(running=1)))
    assert isinstance(console.file, io.StringIO)
    assert "dashboard: http://127.0.0.1:8787/" in console.file.getvalue().splitlines()[0]
