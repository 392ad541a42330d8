"""Keras's initial_epoch: in SQL, and after an attempt that was interrupted."""

from __future__ import annotations

from typing import Any

from fleets import DrainAfter, Fleet

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
