"""Keras's validation_freq and validation_steps: which epochs are validated, and on which rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest
from fleets import DrainAfter, Fleet, Only

import fitfleet as ff
from fitfleet.states import JobStatus
from fitfleet.submit import Submission
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.models.build import build

GIVEN: dict[str, Any] = {
    "epochs": 4,
    "shuffle": False,
    "metrics": ["mae"],
    "validation_batch_size": 3,
    "validation_steps": 2,
}


def plain(data: Path, settings: Any, given: dict[str, Any]) -> list[Any]:
    """The curve of Keras's `fit` on the same rows, as Fleet.curve gives it."""
    spec = Submission(settings).row(given).spec
    model = build(spec, settings)
    with h5py.File(data) as file:
        arrays = {name: file[name][:] for name in ("x_train", "y_train", "x_val", "y_val")}
    history = model.fit(
        arrays["x_train"],
        arrays["y_train"],
        validation_data=(arrays["x_val"], arrays["y_val"]),
        batch_size=given["batch_size"],
        epochs=given["epochs"],
        shuffle=False,
        verbose=0,
        validation_batch_size=given["validation_batch_size"],
        validation_steps=given["validation_steps"],
        validation_freq=given["validation_freq"],
    ).history
    due = [e for e in range(1, 5) if spec.validates(e)]
    curve = []
    for name, values in history.items():
        phase = "val" if name.startswith("val_") else "train"
        epochs = due if phase == "val" else range(1, 5)
        assert len(values) == len(list(epochs))
        curve += [
            (epoch, phase, name.removeprefix("val_"), value)
            for epoch, value in zip(epochs, values, strict=True)
        ]
    return sorted(curve, key=repr)


@pytest.mark.parametrize("frequency", [2, [1, 4]], ids=str)
@pytest.mark.parametrize("engine", ["", "fit"])
def test_the_epochs_and_rows_are_those_of_keras(
    sqlite_url: str, tmp_path: Path, data: Path, job: dict[str, Any], engine: str, frequency: Any
) -> None:
    given = {**job, **GIVEN, "validation_freq": frequency}
    with Fleet(sqlite_url, tmp_path, engine=engine) as fleet:
        row = fleet.run(**given)
        assert row.status is JobStatus.SUCCEEDED, fleet.log(row.id)
        assert fleet.curve(row.id) == plain(data, fleet.settings, given)


def test_jobs_of_a_stack_at_different_epochs_are_validated_each_at_its_own(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    """The first is drained after an epoch, and resumed beside two that begin."""
    layers = [ff.layers.Input((5, 3)), ff.layers.LSTM(4), ff.layers.Dense(1)]
    given = {**job, **GIVEN, "model": ff.Sequential(layers), "validation_freq": 2}
    expected = fleet.curve(fleet.run(**given, fuse=False, experiment="alone").id)
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [0])  # type: ignore[assignment]
    first = fleet.run(**given)
    assert (first.status, first.epoch) == (JobStatus.QUEUED, 1)
    fleet.child.is_draining = False
    fleet.child.engines = Only(FusedFit(fleet.settings))
    ids = [first.id, *(fleet.submit(**{**given, "seed": seed}) for seed in (6, 7))]
    fleet.attempt()
    assert {fleet.row(job_id).engine for job_id in ids} == {"fused"}
    names = [point[:3] for point in expected]
    assert [[point[:3] for point in fleet.curve(job_id)] for job_id in ids] == [names] * 3
    values = [point[3] for point in fleet.curve(first.id)]
    assert values == pytest.approx([point[3] for point in expected], rel=1e-4)
