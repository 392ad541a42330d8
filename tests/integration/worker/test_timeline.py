"""What a worker keeps of an attempt for its job's trace: phases and ends of epochs, in order."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fleets import Fleet

from fitfleet.db.schema.tables import attempts
from fitfleet.worker.timeline import Timeline


def _phases(fleet: Fleet) -> list[Any]:
    with fleet.database.read() as c:
        texts = c.scalars(sa.select(attempts.c.phases).order_by(attempts.c.job_id)).all()
    return [None if text is None else json.loads(text) for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_phases_follow_one_another_and_epochs_end_within_the_training(
    sqlite_url: str, tmp_path: Path, job: dict[str, Any], seeds: tuple[int, ...]
) -> None:
    """Alone, and of a cohort, whose second job begins when what it needs is loaded."""
    with Fleet(sqlite_url, tmp_path, traces=True) as fleet:
        for seed in seeds:
            fleet.submit(**{**job, "seed": seed})
        fleet.attempt()
        told = _phases(fleet)
    assert len(told) == len(seeds)
    for number, phases in enumerate(told):
        names = ["train", "evaluate", "save"]
        assert list(phases) == [*(["load"] if number == 0 else []), *names, "epochs"]
        times = [time for name in names for time in phases[name]]
        assert times == sorted(times) and times[0] >= 0
        assert [epoch for epoch, _ in phases["epochs"]] == [1, 2, 3]
        assert phases["epochs"][-1][1] == phases["train"][1]


@pytest.mark.slow
def test_without_traces_nothing_is_written(fleet: Fleet, job: dict[str, Any]) -> None:
    fleet.submit(**job)
    fleet.attempt()
    assert _phases(fleet) == [None]


@pytest.mark.slow
def test_a_failed_attempt_records_how_far_it_came(
    sqlite_url: str, tmp_path: Path, job: dict[str, Any]
) -> None:
    job |= {"callbacks": [{"class_name": "TerminateOnNaN", "config": {}}]}
    job |= {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 1e9}}}
    with Fleet(sqlite_url, tmp_path, traces=True) as fleet:
        fleet.submit(**job)
        fleet.attempt()
        (phases,) = _phases(fleet)
    assert set(phases) == {"load", "train", "epochs"} and phases["train"][1] > 0


def test_of_many_epochs_some_are_kept_evenly_spread() -> None:
    timeline = Timeline()
    timeline.start("train")
    for number in range(1, 10_001):
        timeline.epoch(number)
    epochs = [number for number, _ in json.loads(timeline.to_json())["epochs"]]
    steps = {after - before for before, after in itertools.pairwise(epochs)}
    assert 32 <= len(epochs) <= 64 and len(steps) == 1 and epochs[0] == steps.pop()
