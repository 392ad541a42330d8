"""What the live display shows, and that it is silent in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

import fitfleet as ff
from fitfleet.client.display.display import Display
from fitfleet.client.display.names import labels
from fitfleet.client.display.progress_snapshot import RunningJob, Snapshot, take
from fitfleet.client.display.running_table import running_table
from fitfleet.db.schema.tables import attempts, jobs
from fitfleet.states import JobStatus
from fitfleet.text import duration

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")

RUNNING = [
    RunningJob(
        id=number,
        experiment="digits",
        params={"units": 32, "rate": 0.001},
        epoch=3,
        epochs=5,
        seed=number,
        fold=None,
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
    for shown in ("1", "seed=1", "1.235", "1.4", "box:42:1", "12 s"):
        assert shown in line


def test_totals_count_every_state() -> None:
    text = rendered(snapshot(2))
    for shown in ("13 of 60 jobs ended", "1 failed", "2 running", "45 waiting"):
        assert shown in text


def test_more_jobs_than_lines_are_counted() -> None:
    text = rendered(snapshot(60))
    assert "... and 36 more" in text
    assert len(text.splitlines()) <= 30


def test_it_says_why_nothing_runs() -> None:
    assert "fitfleet worker" in rendered(snapshot(0, slots=0))
    assert "digits is paused" in rendered(snapshot(0, paused=("digits",)))
    fresh = Snapshot({JobStatus.QUEUED: 3}, 0, 9, [], 2, [])
    assert "loads TensorFlow" in rendered(fresh)
    assert "loads TensorFlow" not in rendered(snapshot(2))


def test_the_time_left_of_a_resumed_job_is_unknown_before_its_fit_runs(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    handle = fleet.submit(**{**job, "epochs": 400})
    attempt = {"job_id": handle.id, "attempt": 2, "worker": "box:1:0", "started_at": 1.0}
    with fleet.database.begin() as c:
        c.execute(jobs.update().values(status="RUNNING", epoch=137, attempt=2))
        c.execute(attempts.insert(), attempt)
    (line,) = take(fleet.database, [handle.id], 20.0).running
    assert line.seconds_left is None
    with fleet.database.begin() as c:
        c.execute(attempts.update().values(first_epoch=136))
    (line,) = take(fleet.database, [handle.id], 20.0).running
    assert line.seconds_left is not None and line.seconds_left > 0


TWO = [
    replace(
        RUNNING[number],
        epoch=3 * number,
        epochs=40,
        params={"units": 16 * number, "optimizer.learning_rate": 0.5 / number, "kind": "LSTM"},
        last={"loss": 1.2345678, "val_loss": 0.000012345, "accuracy": 0.5, "val_accuracy": 0.25},
        seconds_left=65.2 * number,
    )
    for number in (8, 9)
]
SNAPSHOTS = {
    60: """\
job                    epoch   loss   val_loss        left
  9  units=128 learn…  24/40  1.235  1.234e-05  8 min 42 s
 10  units=144 learn…  27/40  1.235  1.234e-05  9 min 47 s
""",
    80: """\
job                                        epoch   loss   val_loss        left
  9  units=128 learning_rate=0…  ━━━━╸     24/40  1.235  1.234e-05  8 min 42 s
 10  units=144 learning_rate=0…  ━━━━━     27/40  1.235  1.234e-05  9 min 47 s
""",
    100: """\
job                                                     epoch   loss   val_loss        left
  9  units=128 learning_rate=0.0625   ━━━━━━━━━╸        24/40  1.235  1.234e-05  8 min 42 s
 10  units=144 learning_rate=0.05556  ━━━━━━━━━━╸       27/40  1.235  1.234e-05  9 min 47 s
""",
    140: """\
job                                                     epoch   loss   val_loss        left\
  val_accuracy  accuracy  worker
  9  units=128 learning_rate=0.0625   ━━━━━━━━━╸        24/40  1.235  1.234e-05  8 min 42 s\
          0.25       0.5  box:42:1
 10  units=144 learning_rate=0.05556  ━━━━━━━━━━╸       27/40  1.235  1.234e-05  9 min 47 s\
          0.25       0.5  box:42:1
""",
}


@pytest.mark.parametrize("width", SNAPSHOTS)
def test_the_table_fits_the_width_and_drops_what_is_worth_least(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=30, force_terminal=False)
    console.print(running_table(TWO, width, duration))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert "\n".join(lines) + "\n" == SNAPSHOTS[width]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 140, 300])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    long = [replace(running, params={"a" * 50: "b" * n, "c": n}, worker="w" * 90) for n, running in
            enumerate(RUNNING[:9], 100)]  # fmt: skip
    console = Console(file=io.StringIO(), width=width, height=30, force_terminal=False)
    console.print(running_table(long, width, duration))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 10 and max(map(len, lines)) <= width
    assert lines[1].startswith("  1")


def test_jobs_that_differ_by_seed_or_fold_alone_show_it() -> None:
    base = replace(RUNNING[0], seed=0)
    jobs = [base, replace(base, seed=1), replace(base, params={"units": 8, "rate": 1.0})]
    assert labels(jobs) == ["units=32 rate=0.001 seed=0", "units=32 rate=0.001 seed=1",
                            "units=8 rate=1"]  # fmt: skip
    assert labels(jobs[:2], only_differing=True) == ["seed=0", "seed=1"]
    folds = [replace(base, fold=n) for n in (0, 1)]
    assert labels(folds) == ["units=32 rate=0.001 fold=0", "units=32 rate=0.001 fold=1"]
    assert labels([replace(base, params={})]) == ["seed=0"]
    other = replace(base, seed=5, experiment="other")
    assert labels([base, other]) == ["units=32 rate=0.001"] * 2


def test_in_a_pipe_there_is_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("fitfleet.client.display.display.time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    display = Display(console)
    with display.shown():
        for now[0] in (100.0, 115.0, 129.9, 130.0, 145.0, 160.5):
            display.draw(snapshot(2))
    display.conclude({})
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 2 and all(line.startswith("13 of 60 jobs ended") for line in lines)


def test_a_failure_is_reported_once_also_in_a_pipe(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    handles = [fleet.submit(**{**job, "seed": seed}) for seed in range(7)]
    with fleet.database.begin() as c:
        c.execute(jobs.update().values(
            status="FAILED", failure_class="user", failure_message="it is broken"
        ))  # fmt: skip
    rows = [handle.refresh().row for handle in handles]
    for is_raised, count in ((False, 5), (True, 4)):
        pipe = Console(file=io.StringIO(), force_terminal=False, width=80)
        Display(pipe).conclude({JobStatus.FAILED: 7}, rows[:5], is_raised=is_raised)
        assert isinstance(pipe.file, io.StringIO)
        lines = pipe.file.getvalue().splitlines()
        assert sum("failed: user: it is broken" in line for line in lines) == count
        assert lines[-1] == "... and 2 more failed: fitfleet ps --status FAILED"
    plain = Console(file=io.StringIO(), force_terminal=False, width=80)
    Display(plain).conclude({JobStatus.FAILED: 1}, rows[:1], is_raised=True)
    assert isinstance(plain.file, io.StringIO) and plain.file.getvalue() == ""


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


def piped(state: Snapshot, monkeypatch: pytest.MonkeyPatch, *before: Snapshot) -> str:
    """The line in a pipe, a minute after the first snapshot."""
    now = [100.0]
    monkeypatch.setattr("fitfleet.client.display.display.time.monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    display = Display(console)
    for first in before:
        display.draw(first)
    now[0] += 60.0
    display.draw(state)
    assert isinstance(console.file, io.StringIO)
    (line,) = console.file.getvalue().splitlines()
    return line


def test_a_line_in_a_pipe_says_why_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Snapshot({JobStatus.QUEUED: 6}, 0, 18, [], 0, [])
    assert piped(waiting, monkeypatch) == (
        "0 of 6 jobs ended  6 waiting  1 min 00 s;"
        " no worker is running yet; unless one is starting: fitfleet worker"
    )
    held = replace(waiting, slots=2, obstacles=("2 other jobs run first",))
    assert piped(held, monkeypatch).endswith("1 min 00 s; 2 other jobs run first")
    assert ";" not in piped(snapshot(2), monkeypatch)


def test_no_time_is_left_once_the_last_epoch_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    first, later = snapshot(2), replace(snapshot(2), epochs_done=600)
    assert piped(later, monkeypatch, first).endswith("1 min 00 s, about 1 min 00 s left")
    assert piped(replace(first, epochs_done=900), monkeypatch, first).endswith("1 min 00 s")
    nearly = replace(first, epochs_done=899_999, epochs=900_000)
    assert piped(nearly, monkeypatch, first).endswith("about 1 s left")


def test_no_time_left_is_estimated_while_all_jobs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    first = replace(snapshot(0), obstacles=("2 other jobs run first",))
    assert "left" not in piped(replace(first, epochs_done=600), monkeypatch, first)
