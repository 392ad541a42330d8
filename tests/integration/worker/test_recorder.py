"""Metrics arrive complete through an outage of the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleets import Fleet
from sqlalchemy import text

from fitfleet.db.attempts.claims import Claim
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.worker.recording.metrics import Recorder


@pytest.fixture
def recorder(fleet: Fleet, tmp_path: Path) -> Iterator[Recorder]:
    """One that keeps little in memory."""
    recorder = Recorder(fleet.database, tmp_path / "logs", memory_rows=100)
    yield recorder
    recorder.close()


def _rows(claim: Claim, first: int, last: int) -> list[EpochMetrics]:
    return [EpochMetrics(claim, n, {"loss": n / 3, "val_loss": n / 7}) for n in range(first, last)]


def test_what_does_not_fit_in_memory_waits_on_the_disk(
    fleet: Fleet, job: dict[str, object], recorder: Recorder, tmp_path: Path
) -> None:
    fleet.submit(**job)
    claim = fleet.claim()
    with fleet.database.begin() as c:
        c.execute(text("ALTER TABLE metrics RENAME TO away"))  # every write fails from now on
    started = time.monotonic()
    for row in _rows(claim, 1, 1000):
        recorder.put(row)
    # Each row of them would wait for OUTAGE_POLL_S, a second.
    assert time.monotonic() - started < 60.0, "the training thread must not wait"
    assert not recorder.flush(0.1)
    (spilled,) = (tmp_path / "logs").glob("metrics-*.jsonl")
    assert len(spilled.read_text().splitlines()) > 800
    waiting = recorder.waiting([claim])
    assert sorted(row.epoch for row in waiting) == list(range(1, 1000))
    assert waiting[0].logs == {"loss": 1 / 3, "val_loss": 1 / 7}

    with fleet.database.begin() as c:
        c.execute(text("ALTER TABLE away RENAME TO metrics"))
    recorder.put(*_rows(claim, 1000, 1100))
    assert recorder.flush(20)
    losses = {point[0]: point[3] for point in fleet.curve(claim.job_id) if point[1] == "train"}
    assert losses == {n: n / 3 for n in range(1, 1100)}
    assert not spilled.exists()


def test_epochs_of_two_threads_are_all_written(fleet: Fleet, job: dict[str, object]) -> None:
    fleet.submit(**job)
    claim = fleet.claim()

    def put(first: int) -> None:
        for row in _rows(claim, first, first + 200):
            fleet.recorder.put(row)

    threads = [threading.Thread(target=put, args=(n,)) for n in (1, 201, 401)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fleet.recorder.flush(20)
    assert len(fleet.curve(claim.job_id)) == 1200
    assert fleet.recorder.waiting([claim]) == []
