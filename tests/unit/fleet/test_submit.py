"""Submitting, without a broker or workers."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pytest
from support.rows import register

import fitfleet as ff
from fitfleet.errors import NotFoundError, SpecError

KEPT = "the job is kept in the database"


def test_with_the_broker_away_the_job_is_kept_and_a_warning_says_so(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    with pytest.warns(UserWarning, match=KEPT):
        handle = fleet.submit(**job)
    assert handle.status is ff.JobStatus.QUEUED
    assert fleet.job(handle.id) == handle


def test_a_folder_where_no_fleet_is_up_is_reported_and_one_with_workers_is_not(
    fleet: ff.Fleet, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the folder of an embedded fleet, whose broker only its own processes know.
    monkeypatch.setattr("fitfleet.client.submit_notices.is_embedded", lambda settings: True)
    monkeypatch.setattr("fitfleet.client.submit_notices._BROKER_POLL_S", 0.0)
    with pytest.warns(
        UserWarning, match="no fleet is running in this folder.*: fitfleet up --directory "
    ) as told:
        fleet.submit(**job)
    assert len(told) == 1 and "broker" not in str(told[0].message)
    register(fleet.database, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fleet.submit(**{**job, "seed": 1})


@pytest.mark.filterwarnings(f"ignore:.*{KEPT}")
def test_the_same_content_is_the_same_job(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    first = fleet.submit(**job, params={"a": 1})
    second = fleet.submit(**job, params={"a": 2})
    other = fleet.submit(**{**job, "seed": 1})
    again = fleet.submit(**job, again=True)
    elsewhere = fleet.submit(**{**job, "experiment": "other"})
    assert (second.id, second.is_reused, first.is_reused) == (first.id, True, False)
    assert len({first.id, other.id, again.id, elsewhere.id}) == 4


def test_arguments_without_names_are_refused_with_the_way(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    with pytest.raises(SpecError, match=r"^submit: takes its arguments by name: model=model, "):
        fleet.submit(job["model"], job["dataset"])
    assert fleet.jobs() == []


@pytest.mark.filterwarnings(f"ignore:.*{KEPT}")
def test_of_many_jobs_all_are_queued_or_none(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=r"jobs\[1\]: epochs"):
        fleet.submit_many([job, {**job, "epochs": 0}])
    assert fleet.jobs() == []
    handles = fleet.submit_many([job, job, {**job, "seed": 3}])
    assert [m.is_reused for m in handles] == [False, True, False]
    assert handles[0] == handles[1]


@pytest.mark.slow
@pytest.mark.filterwarnings(f"ignore:.*{KEPT}")
def test_ten_thousand_jobs_are_submitted_at_once(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    jobs = [{**job, "seed": seed, "params": {"seed": seed}} for seed in range(10_000)]
    # Of this process, so that other load on the machine does not count.
    began = time.process_time()
    handles = fleet.submit_many(jobs)
    assert time.process_time() - began < 40.0  # a guard; benchmarks/overhead.py measures
    assert len({m.id for m in handles}) == 10_000


def test_an_argument_that_does_not_exist_is_refused(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="epoch"):
        fleet.submit(**job, epoch=3)
    with pytest.raises(SpecError, match="dataset: is missing"):
        fleet.submit(model=job["model"])


def test_a_job_that_is_not_there_is_reported(fleet: ff.Fleet) -> None:
    with pytest.raises(NotFoundError, match="there is no job 7"):
        fleet.job(7)


@pytest.mark.filterwarnings(f"ignore:.*{KEPT}")
def test_jobs_are_found_by_experiment_and_status(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    first, second = fleet.submit(**job), fleet.submit(**{**job, "experiment": "other"})
    second.cancel()
    assert fleet.jobs("line") == [first]
    assert fleet.jobs(status="cancelled") == [second]
    assert fleet.jobs(limit=1) == [second]
    with pytest.raises(ff.FitfleetError, match="'done' is not one of"):
        fleet.jobs(status="done")


@pytest.mark.filterwarnings(f"ignore:.*{KEPT}")
def test_a_handle_reads_well(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    handle = fleet.submit(**job, params={"units": 3})
    assert repr(handle) == f"<Job {handle.id} 'line' QUEUED epoch 0/3, seed=0, units=3>"
    assert list(handle.history.columns) == ["epoch"]
    assert handle.scores == {}
    assert handle.error is None
    assert handle.logs() == ""


def test_the_broker_is_looked_at_once_for_many_submits(
    fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(5):
            fleet.submit(**{**job, "seed": seed})
    assert sum(KEPT in str(warning.message) for warning in caught) == 1


@pytest.mark.filterwarnings(f"ignore:.*{KEPT}")
@pytest.mark.parametrize("has_best", [False, True])
def test_averaged_weights_are_said_to_belong_to_no_epoch(
    has_best: bool, fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    """Unless the best epoch's own are put back after them."""
    best = {"EarlyStopping": {"monitor": "loss", "restore_best_weights": has_best}}
    averaged = {**job, "optimizer": {"Adam": {"use_ema": True}}, "callbacks": [best]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fleet.submit(**averaged)
    told = [str(warning.message) for warning in caught if "use_ema" in str(warning.message)]
    assert len(told) == (not has_best)


def test_a_job_starts_from_one_that_has_not_ended(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="broker"):
        first = fleet.submit(**job)
    fine = fleet.submit(model=first, freeze="dense*", dataset="data.npz", experiment="fine")
    other = fleet.submit(**{**job, "init_from": first, "experiment": "fine", "epochs": 9})
    for handle, match in ((fine, "all"), (other, "names")):
        start = handle.spec.initial_weights
        assert start is not None and (start.of_job, start.match) == (first.row.content_hash, match)
        assert f"waits for job {first.id}" in str(handle.why())
    again = fleet.submit(**{**job, "init_from": first, "experiment": "fine", "epochs": 9})
    assert again == other and again.is_reused
    with pytest.raises(SpecError, match="has not ended; wait for it before the sweep"):
        fleet.sweep(**{**job, "init_from": first, "seed": ff.choice([1, 2])})
