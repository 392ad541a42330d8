"""Fits of kinds with a state or a path of their own, killed inside an epoch and at the end of one.

Each attempt has engines of its own, as in a process that has trained nothing yet.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import own_models
import pytest
from fleets import DrainAfter, Fleet, KilledInside, Only, assert_same_file
from support.parts import sampled

import fitfleet as ff
from fitfleet.data.ingest.script_arrays import DataStore
from fitfleet.settings import Settings
from fitfleet.spec.parts.layers import builder
from fitfleet.states import JobStatus
from fitfleet.worker.engines.choice import Choice, Engines
from fitfleet.worker.engines.fused.fused_open_widths import OpenFusedFit
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.prepared_job import PreparedJob

L = ff.layers
TRUSTING = {"trusted_modules": ("own_models",), "module_path": (str(Path(__file__).parent),)}


def _adapted(data: Path) -> dict[str, Any]:
    layers = [L.Input((5, 3)), L.Flatten(), L.Normalization(), L.Dropout(0.3), L.Dense(1)]
    return {"model": ff.Sequential(layers), "adapt": True}


def _step_by_step(data: Path) -> dict[str, Any]:
    """What the loop takes a step in a call, with metrics that sample weights reach."""
    layers = [L.Input((5, 3)), L.Flatten(), L.Dense(4, "silu"), L.Dropout(0.3), L.Dense(1)]
    arrays = {"x_val": "x_val", "y_val": "y_val", "sample_weight": "weight_train"}
    return {
        "model": ff.Sequential(layers),
        "dataset": {"path": str(data), "x": "x_train", "y": "y_train", **arrays},
        "loss": "log_cosh",
        "metrics": ["mae", "CosineSimilarity"],
        "weighted_metrics": ["mae", "LogCoshError"],
    }


def _without_a_loss(data: Path) -> dict[str, Any]:
    """The labels are an input, and a layer adds the loss."""
    both = [{"x": f"first_{part}", "y": f"mean_{part}"} for part in ("train", "val")]
    dataset = {"path": str(data), "x": both[0], "y": None, "x_val": both[1], "x_test": both[1]}
    return {"model": own_models.endpoint(), "dataset": dataset, "loss": None}


def _inputs_alone(data: Path) -> dict[str, Any]:
    """Batches of inputs without labels, for a model with two optimizers and a step of its own."""
    import tensorflow as tf

    with h5py.File(data) as file:
        x = file["first_train"][()]
    batches = tf.data.Dataset.from_tensor_slices(x).batch(8)
    gan = {"model": builder("own_models:gan"), "dataset": batches}
    return gan | {"loss": None, "optimizer": None, "shuffle": False}


def _counting(data: Path) -> dict[str, Any]:
    return _inputs_alone(data) | {"model": builder("own_models:counting")}


def _widths(data: Path) -> dict[str, Any]:
    layers = [L.Input((5, 3)), L.LSTM(7), L.Dropout(0.3), L.Dense(1)]
    return {"model": ff.Sequential(layers)}


KINDS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "adapted, fit": (_adapted, "fit"),
    "adapted, loop": (_adapted, ""),
    "step by step, fit": (_step_by_step, "fit"),
    "step by step, loop": (_step_by_step, ""),
    "without a loss": (_without_a_loss, ""),
    "inputs alone": (_inputs_alone, ""),
    "variables of TensorFlow": (_counting, ""),
    "any width": (_widths, "open"),
}


class OpenOnly:
    """Engines without a choice: the program of any width, which has served another before."""

    def __init__(self, fleet: Fleet) -> None:
        self._engine = OpenFusedFit(fleet.settings)

    def choose(self, jobs: list[PreparedJob]) -> Any:
        if jobs:
            yield Choice(self._engine, jobs, [""] * len(jobs))


def fresh(fleet: Fleet, engine: str) -> Any:
    """Engines that have trained nothing yet."""
    if engine == "open":
        return OpenOnly(fleet)
    return Only(KerasFit(fleet.settings)) if engine == "fit" else Engines(fleet.settings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sampled(KINDS, "any width"))
def test_it_ends_as_the_fit_that_nobody_stopped(
    kind: str, data: Path, job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    make, engine = KINDS[kind]
    job = {k: v for k, v in {**job, "epochs": 4, **make(data)}.items() if v is not None}
    job = DataStore(Settings(storage=str(tmp_path / "storage"))).replaced(job)
    seeds = (5, 6) if engine == "open" else (5,)
    with Fleet(sqlite_url, tmp_path, **TRUSTING) as fleet:
        straight = [fleet.submit(**{**job, "seed": s}, experiment="straight") for s in seeds]
        fleet.child.engines = fresh(fleet, engine)
        fleet.attempt()
        torn = [fleet.submit(**{**job, "seed": s}, experiment="torn") for s in seeds]
        fleet.child.engines = KilledInside(fresh(fleet, engine), [1])
        fleet.attempt()
        fleet.child.engines = DrainAfter(fresh(fleet, engine), fleet.child, [2])
        fleet.attempt()
        fleet.child.is_draining = False
        fleet.child.engines = fresh(fleet, engine)
        fleet.attempt()
        for one, other in zip(straight, torn, strict=True):
            row, expected = fleet.row(other), fleet.row(one)
            assert expected.status is JobStatus.SUCCEEDED, expected.failure_message
            assert row.status is JobStatus.SUCCEEDED, row.failure_message
            attempts = [(a["outcome"], a["first_epoch"]) for a in fleet.attempts(other)]
            assert attempts == [("released", 0), ("released", 1), ("succeeded", 3)]
            assert row.engine == expected.engine
            assert fleet.curve(other) == fleet.curve(one)
            assert fleet.scores(other) == fleet.scores(one)
            assert_same_file(fleet.artifact(row), fleet.artifact(expected))
