"""What a builder says stays so in a worker: how weights are drawn, and the loss as an object."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import models_with_builder_state
import numpy as np
import pytest
from fleets import DrainAfter, Fleet, assert_same_file

from fitfleet.client.job import Job
from fitfleet.db.reading.lookup import JobRow
from fitfleet.spec.job import DatasetSpec
from fitfleet.spec.parts.layers import builder
from fitfleet.states import JobStatus
from fitfleet.worker.seeding import mix

pytestmark = pytest.mark.slow
FIT = {"batch_size": 8, "shuffle": False, "epochs": 2}


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    here = str(Path(__file__).parent)
    trusting = {"trusted_modules": ("models_with_builder_state",), "module_path": (here,)}
    with Fleet(sqlite_url, tmp_path, **trusting) as fleet:
        yield fleet


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "data.npz"
    np.savez(path, x=rng.random((24, 3), "float32"), y=rng.random((24, 1), "float32"))
    return path


def job(model: str, path: Path) -> dict[str, Any]:
    dataset = DatasetSpec(path=str(path), x="x", y="y")
    return {"model": builder(f"models_with_builder_state:{model}"), "dataset": dataset, **FIT}


def assert_as_plain(fleet: Fleet, row: JobRow, model: str, seed: int, path: Path) -> None:
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    keras.utils.set_random_seed(mix(seed, "init"))
    plain = getattr(models_with_builder_state, model)()
    plain.jit_compile = False
    with np.load(path) as file:
        history = plain.fit(file["x"], file["y"], **FIT, verbose=0).history
    fitted = Job(fleet.database, fleet.settings, row)
    assert {name: list(fitted.history[name]) for name in history} == history
    stored = fitted.load_model().get_weights()
    for one, other in zip(plain.get_weights(), stored, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_weight_without_an_initialiser_is_drawn_by_the_seed(fleet: Fleet, numbers: Path) -> None:
    given = job("drawn", numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that it starts from the object's weights
        straight = [fleet.submit(**given, seed=seed, experiment="straight") for seed in (0, 1)]
    while any(fleet.row(number).status is JobStatus.QUEUED for number in straight):
        fleet.attempt()
    for seed, number in enumerate(straight):
        assert_as_plain(fleet, fleet.row(number), "drawn", seed, numbers)
    torn = fleet.submit(**given, seed=1, experiment="torn")
    assert fleet.row(torn).content_hash == fleet.row(straight[1]).content_hash
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    fleet.attempt()
    assert_same_file(fleet.artifact(fleet.row(torn)), fleet.artifact(fleet.row(straight[1])))


def test_a_train_step_may_call_the_loss_of_compile(fleet: Fleet, numbers: Path) -> None:
    row = fleet.run(**job("calling", numbers), seed=3)
    assert_as_plain(fleet, row, "calling", 3, numbers)


def test_steps_run_eagerly_where_the_builder_has_compiled_them_so(
    fleet: Fleet, numbers: Path
) -> None:
    given = job("counting", numbers)
    assert_as_plain(fleet, fleet.run(**given, seed=3), "counting", 3, numbers)
    again = fleet.run(**given, seed=3, optimizer="sgd", loss="mse", experiment="compiled again")
    assert_as_plain(fleet, again, "counting", 3, numbers)
