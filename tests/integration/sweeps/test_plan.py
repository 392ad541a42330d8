"""The plan: built by Keras, costs learnt, nothing written, a thousand points in no time."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select
from support.simulated_worker import StandIn, arguments, write_data

import fitfleet as ff
from fitfleet.db.attempts import memory
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.schema.tables import attempts, jobs
from fitfleet.db.session import Database
from fitfleet.errors import SearchError
from fitfleet.settings import Settings
from fitfleet.spec.memory import fit_kind
from fitfleet.submit import Submission
from fitfleet.sweeps.design.design import design
from fitfleet.sweeps.driving.driver import Driver
from fitfleet.sweeps.driving.sweep_rows import open_sweep
from fitfleet.sweeps.planning import build_check
from fitfleet.sweeps.planning.plan import plan
from fitfleet.sweeps.planning.plan_rows import Plan

GRID = {"search": "grid", "trials": None, "optimizer": "adam"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return write_data(tmp_path).replace(module_path=(str(Path(__file__).parent),))


@pytest.fixture
def database(sqlite_url: str) -> Any:
    database = Database(sqlite_url)
    yield database
    database.dispose()


def planned_sweep(database: Database, settings: Settings, **changes: Any) -> Plan:
    return plan(database, settings, design(arguments(**changes)))


def test_it_counts_weights_and_memory_and_writes_nothing(
    database: Database, settings: Settings
) -> None:
    planned = planned_sweep(database, settings, **GRID, repeats=3, batch_size=32)
    assert planned.is_built and not planned.is_sample and planned.jobs == 9
    weights = [4 * u + u + u + 1 for u in (4, 8, 16)]
    assert [p.parameters for p in planned.points] == weights
    # Weights, gradients and Adam's two slots; each activation with its gradient.
    expected = [4 * w * 4 + 2 * 4 * 32 * (u + 1) for w, u in zip(weights, (4, 8, 16), strict=True)]
    assert [p.memory_bytes for p in planned.points] == expected
    assert planned.seconds is None
    assert "3 points: 9 jobs to run" in str(planned)
    with database.read() as c:
        assert c.execute(select(func.count()).select_from(jobs)).scalar() == 0


@pytest.mark.slow
def test_it_learns_from_what_was_run(database: Database, settings: Settings) -> None:
    drive = Driver(database, settings, open_sweep(database, design(arguments(**GRID))))
    while not drive.step().is_done:
        StandIn(database).work()
    with database.begin() as c:
        c.execute(attempts.update().values(memory_peak_bytes=123_000_000))
    planned = planned_sweep(database, settings, **GRID, repeats=2, epochs=8, name="longer")
    assert planned.jobs == 6  # other epochs, other jobs, but of the same kind
    assert [p.seconds for p in planned.points] == pytest.approx([2.0] * 3)
    assert planned.points[0].peak_bytes == 123_000_000
    assert planned.to_pandas()["peak_mib"][0] == pytest.approx(117.3)
    assert planned.seconds == pytest.approx(12.0)
    again = planned_sweep(database, settings, **GRID, repeats=2, name="wider")
    assert [(p.new, p.reused) for p in again.points] == [(1, 1)] * 3
    elsewhere = planned_sweep(database, settings, **GRID, experiment="new", adopt=True)
    assert elsewhere.jobs == 0


@pytest.mark.slow
def test_memory_is_predicted_for_batches_that_were_never_run(
    database: Database, settings: Settings
) -> None:
    layers = [ff.layers.Input((4,)), ff.layers.Dense(4), ff.layers.Dense(1)]
    changes = {**GRID, "model": ff.Sequential(layers), "batch_size": ff.choice([16, 32, 64])}
    assert [p.peak_bytes for p in planned_sweep(database, settings, **changes).points] == [None] * 3
    names = ("model", "dataset", "optimizer", "loss", "epochs")
    job = {name: arguments(**changes)[name] for name in names}
    with database.begin() as c:
        for batch_size, size in ((16, 500_000_000), (32, 600_000_000)):
            row = Submission(settings).row({**job, "batch_size": batch_size})
            kind = fit_kind(row.spec, row.fingerprint)
            memory.record(c, [Measurement(kind, "loop", 1, "cpu", size)])
    planned = planned_sweep(database, settings, **changes)
    assert [p.peak_bytes for p in planned.points] == [550_000_000, 660_000_000, 880_000_000]


def test_a_builder_that_raises_refuses_its_point(database: Database, settings: Settings) -> None:
    model = ff.builder("plan_models:dense", units=ff.choice([8, 13, 16]))
    trusting = settings.replace(trusted_modules=("plan_models",))
    untrusted = planned_sweep(database, settings, **GRID, model=model)
    assert all("trusted_modules" in str(p.refused) for p in untrusted.points)
    planned = planned_sweep(database, trusting, **GRID, model=model)
    assert [p.refused is None for p in planned.points] == [True, False, True]
    assert "plan_models:dense(units=13)" in str(planned.points[1].refused)
    assert "thirteen is unlucky" in str(planned)


def test_what_only_keras_notices_is_refused(database: Database, settings: Settings) -> None:
    layers = ff.layers
    model = ff.Sequential(
        [
            layers.Input((4,)),
            layers.Reshape((2, 2, 1)),
            layers.Conv2D(2, ff.choice([1, 3])),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    planned = planned_sweep(database, settings, **GRID, model=model)
    assert planned.points[0].refused is None
    assert planned.points[1].refused and planned.points[1].new == 0


def test_loss_and_labels_are_compared(database: Database, settings: Settings) -> None:
    planned = planned_sweep(database, settings, **GRID, loss="categorical_crossentropy")
    assert all(p.refused for p in planned.points)


@pytest.mark.slow
def test_a_reason_for_refusing_points_is_reported_once(
    database: Database, settings: Settings
) -> None:
    loss = ff.choice(["mse", "categorical_crossentropy"])
    some = planned_sweep(database, settings, **GRID, loss=loss)
    every = planned_sweep(database, settings, **GRID, loss="categorical_crossentropy")
    (line,) = [line for line in some.summary() if line.startswith("refused {")]
    assert "categorical_crossentropy" in line and "} and 2 more: " in line
    (line,) = [line for line in every.summary() if line.startswith("refused every point: ")]
    assert every.points[0].refused in line


def test_equal_architectures_are_built_once(database: Database, settings: Settings) -> None:
    keys = set()
    for dropout in (0.1, 0.2, 0.3):
        layers = ff.layers
        model = ff.Sequential([layers.Input((4,)), layers.Dropout(dropout), layers.Dense(1)])
        from fitfleet.spec.submission import job_spec

        spec = job_spec(settings, model=model, dataset="data.npz", optimizer="sgd", loss="mse")
        keys.add(build_check.architecture(spec))
    assert len(keys) == 1


@pytest.mark.slow
def test_a_search_that_learns_shows_a_sample(database: Database, settings: Settings) -> None:
    planned = planned_sweep(database, settings)
    assert planned.is_sample and len(planned.points) == 12
    assert "12 example points: " in str(planned)


def test_a_grid_without_end_is_refused_at_once(database: Database, settings: Settings) -> None:
    many = {**GRID, "seed": ff.integers(0, 999_999)}
    with pytest.raises(SearchError, match="3,000,000 points"):
        planned_sweep(database, settings, **many)


def test_a_bad_pruner_is_refused(database: Database, settings: Settings) -> None:
    with pytest.raises(SearchError, match="pruner: Optuna's hyperband pruner refuses"):
        planned_sweep(database, settings, pruner={"name": "hyperband", "reduction_factor": 1})


@pytest.mark.slow
def test_a_thousand_points_of_the_stacked_lstm(database: Database, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "series.npz",
        x_train=random.random((100, 8, 16), dtype="float32"),
        y_train=np.eye(10, dtype="float32")[random.integers(0, 10, 100)],
        x_val=random.random((20, 8, 16), dtype="float32"),
        y_val=np.eye(10, dtype="float32")[random.integers(0, 10, 20)],
    )
    layers = ff.layers
    units = ff.integers(8, 107)
    model = ff.Sequential(
        [
            layers.Input((8, 16)),
            layers.LSTM(units, return_sequences=True),
            layers.LSTM(32, return_sequences=True, dropout=ff.choice([0.1 * i for i in range(10)])),
            layers.LSTM(32),
            layers.Dense(10, activation="softmax"),
        ]
    )
    start = processor_seconds()
    planned = plan(
        database,
        Settings(data_root=str(tmp_path), cache=str(tmp_path / "cache")),
        design(
            arguments(**GRID, model=model, dataset="series.npz", loss="categorical_crossentropy")
        ),
    )
    seconds = processor_seconds() - start
    assert len(planned.points) == 1000 and planned.jobs == 1000
    assert all(p.refused is None and p.memory_bytes for p in planned.points)
    # Of one core, so that what else this machine does is not counted.
    assert seconds < 60, f"{seconds:.1f} s"


def processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
