"""Models without a loss, which add it themselves or compute it in a step: as `fit` trains them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import own_models
import pytest
from fleets import DrainAfter, Fleet, assert_same_file
from support.parts import quick

from fitfleet.client.job import Job
from fitfleet.spec.job import DatasetSpec
from fitfleet.spec.parts.layers import builder
from fitfleet.states import JobStatus

HERE = str(Path(__file__).parent)
FIT = {"batch_size": 8, "shuffle": False, "epochs": 3}


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    trusting = {"trusted_modules": ("own_models",), "module_path": (HERE,)}
    with Fleet(sqlite_url, tmp_path, **trusting) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.npz"
    rng = np.random.default_rng(0)
    arrays = {"x": rng.random((44, 3), "float32"), "y": rng.random((44, 1), "float32")}
    more = {f"{name}_val": value[:10] for name, value in arrays.items()}
    np.savez(path, **arrays, **more)
    return path


def dataset(path: Path, model: str) -> DatasetSpec:
    if model == "endpoint":  # the labels are an input
        both, held_out = {"x": "x", "y": "y"}, {"x": "x_val", "y": "y_val"}
        return DatasetSpec(path=str(path), x=both, y=None, x_val=held_out, x_test=held_out)
    if model == "gan":
        return DatasetSpec(path=str(path), x="x", y=None, x_val=False)
    return DatasetSpec(path=str(path), x="x", y="y", x_val="x_val", y_val="y_val")


def plain(path: Path, model: str) -> tuple[Any, dict[str, list[float]]]:
    """The same by Keras alone, in the order of the rows."""
    found = getattr(own_models, model)()
    if model == "endpoint":
        found.compile("adam", jit_compile=False)
    found.jit_compile = False
    with np.load(path) as file:
        x, y, x_val, y_val = (file[name] for name in ("x", "y", "x_val", "y_val"))
    given = {"x": x, "y": y, "validation_data": (x_val, y_val)}
    if model == "endpoint":
        given = {"x": {"x": x, "y": y}, "validation_data": ({"x": x_val, "y": y_val},)}
    if model == "gan":
        given = {"x": x}
    return found, found.fit(**given, **FIT, verbose=0).history


@pytest.mark.parametrize("model", quick(["distiller", "endpoint", "gan"], "distiller"))
def test_a_model_that_adds_its_losses_itself_is_trained_as_by_fit(
    model: str, numbers: Path, fleet: Fleet
) -> None:
    optimizer = {"optimizer": "adam"} if model == "endpoint" else {}
    given = own_models.endpoint() if model == "endpoint" else builder(f"own_models:{model}")
    row = fleet.run(model=given, dataset=dataset(numbers, model), **optimizer, **FIT)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    keras_model, history = plain(numbers, model)
    job = Job(fleet.database, fleet.settings, row)
    assert set(job.history.columns) == {"epoch", *history}
    for name, values in history.items():
        assert list(job.history[name]) == values
    expected = sorted(keras_model.get_weights(), key=lambda w: (w.shape, w.tobytes()))
    stored = sorted(job.load_model().get_weights(), key=lambda w: (w.shape, w.tobytes()))
    assert len(expected) == len(stored)
    for one, other in zip(expected, stored, strict=True):
        np.testing.assert_array_equal(one, other)
    if model == "endpoint":
        assert job.scores["test_loss"] == history["val_loss"][-1]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["distiller", "gan"])
def test_the_optimizers_of_a_models_own_compile_resume(
    model: str, numbers: Path, fleet: Fleet
) -> None:
    job = {"model": builder(f"own_models:{model}"), "dataset": dataset(numbers, model), **FIT}
    straight = fleet.run(**job, experiment="straight")
    torn = fleet.submit(**job, experiment="torn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    fleet.attempt()
    assert fleet.curve(torn) == fleet.curve(straight.id)
    assert_same_file(fleet.artifact(fleet.row(torn)), fleet.artifact(straight))


@pytest.mark.slow
def test_what_a_builder_has_compiled_is_not_compiled_again(numbers: Path, fleet: Fleet) -> None:
    job = {"model": builder("own_models:distiller"), "dataset": dataset(numbers, "distiller")}
    row = fleet.run(**job, **FIT, metrics=["mae"])
    assert row.status is JobStatus.FAILED and row.failure_class == "user"
    assert "metrics: the builder has compiled its model" in (row.failure_message or "")
