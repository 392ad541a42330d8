"""Keras's initial_epoch: in SQL, and after an attempt that was interrupted."""

from __future__ import annotations

from typing import Any

from fleets import DrainAfter, Fleet

import fitfleet.client.fleet
from fitfleet.dashboard.pages.job import timeline
from fitfleet.states import JobStatus


def test_epochs_of_a_job_are_counted_from_its_initial_epoch(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    """The first attempt ends after an epoch, the second goes on with the next."""
    given = {**job, "epochs": 5, "initial_epoch": 2}
    whole = fleet.run(**given, experiment="whole")
    assert (whole.status, whole.epoch) == (JobStatus.SUCCEEDED, 5), fleet.log(whole.id)
    curve = fleet.curve(whole.id)
    assert sorted({point[0] for point in curve}) == [3, 4, 5]

    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [2])  # type: ignore[assignment]
    drained = fleet.run(**given)
    assert (drained.status, drained.epoch) == (JobStatus.QUEUED, 3)
    fleet.child.is_draining = False
    fleet.attempt()
    assert fleet.row(drained.id).status is JobStatus.SUCCEEDED, fleet.log(drained.id)
    assert fleet.curve(drained.id) == curve
    assert _starts(fleet, whole.id) == ["attempt 1 started, from epoch 3"]
    assert _starts(fleet, drained.id) == [
        "attempt 1 started, from epoch 3",
        "attempt 2 resumed, from epoch 4",
    ]


def _starts(fleet: Fleet, job_id: int) -> list[str]:
    """What the dashboard's page of the job says of the begin of its attempts."""
    job = fitfleet.client.fleet.Fleet(fleet.settings, fleet.database).job(job_id)
    entries = timeline(job, fleet.attempts(job_id))
    return [entry["what"] for entry in entries if entry["kind"] == "started"]
