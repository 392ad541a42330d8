"""A fitted model comes back as it was trained: built, extended, exported, in its dtypes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from fleets import DrainAfter, Fleet, assert_same_file
from support.parts import quick

import fitfleet as ff
from fitfleet.client.job import Job
from fitfleet.db.jobs import jobs
from fitfleet.db.reading.lookup import JobRow
from fitfleet.errors import DatasetError, SpecError
from fitfleet.spec.parts.layers import builder
from fitfleet.states import JobStatus

L = keras.layers
HERE = str(Path(__file__).parent)
FIT = {"loss": "mse", "optimizer": "adam", "batch_size": 8, "seed": 1}


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    trusting = {"trusted_modules": ("own_models",), "module_path": (HERE,)}
    with Fleet(sqlite_url, tmp_path, **trusting) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "data.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=rng.random((40, 3), "float32"), y=rng.random((40, 1), "float32"))
    return path


def handle(fleet: Fleet, row: JobRow) -> Job:
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    return Job(fleet.database, fleet.settings, row)


@pytest.mark.parametrize("function", quick(["mlp", "coder"], "mlp"))
def test_a_model_that_is_built_by_its_first_batch_is_loaded_extended_and_resumed(
    function: str, numbers: Path, fleet: Fleet
) -> None:
    job = {"model": builder(f"own_models:{function}"), "dataset": str(numbers), **FIT}
    straight = fleet.run(**job, epochs=4, experiment="straight")
    short = fleet.run(**job, epochs=2, experiment="short")
    with fleet.database.begin() as c:
        assert jobs.extend(c, short.id, 4)
    fleet.attempt()
    torn = fleet.submit(**job, epochs=4, experiment="torn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    fleet.attempt()
    for job_id in (short.id, torn):
        assert fleet.curve(job_id) == fleet.curve(straight.id)
        assert_same_file(fleet.artifact(fleet.row(job_id)), fleet.artifact(straight))
    model = handle(fleet, straight).load_model()
    assert int(model.optimizer.iterations) == 4 * 5
    stored = handle(fleet, straight).weights().values()
    assert sum(array.size for array in stored) >= sum(w.size for w in model.get_weights())
    for value in model.get_weights():
        assert any(np.array_equal(value, array) for array in stored)
    assert fleet.row(straight.id).parameters == sum(w.size for w in model.get_weights())


@pytest.mark.parametrize(
    "policy", quick(["float64", "mixed_float16", "mixed_bfloat16", "bfloat16"], "mixed_float16")
)
def test_a_dtype_policy_comes_back_with_the_optimizers_state(
    policy: str, numbers: Path, fleet: Fleet, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    layers = [ff.layers.Input((3,)), ff.layers.Dense(4), ff.layers.Dense(1)]
    row = fleet.run(
        model=ff.Sequential(layers), dataset=str(numbers), dtype_policy=policy, epochs=2, **FIT
    )
    job = handle(fleet, row)
    model = job.load_model()
    again = keras.saving.load_model(job.export(tmp_path / "model.keras"))
    for loaded in (model, again):
        assert {layer.dtype_policy.name for layer in loaded.layers} == {policy}
        # With loss scaling Keras leaves steps out whose gradients overflow.
        assert 0 < int(loaded.optimizer.iterations) == int(model.optimizer.iterations) <= 2 * 5
    stored = job.weights()
    for value in (*model.get_weights(), *again.get_weights()):
        assert any(np.array_equal(value, array) for array in stored.values())
    assert not [w for w in recwarn if "optimizer" in str(w.message)]
    assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"


def attention() -> Any:
    start = keras.Input((3,))
    rows = L.Reshape((3, 1))(start)
    heads = L.MultiHeadAttention(1, 2)(rows, rows) * 2.0
    return keras.Model(start, L.Dense(1)(L.Flatten()(L.Attention()([heads, rows]))))


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_weights_by_outputs_name_are_those_in_their_order(
    names: tuple[str, str], fleet: Fleet, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.random((24, 1), "float32") for name in (*"ab", "for_a", "for_b")}
    np.savez(tmp_path / "two.npz", x=rng.random((24, 3), "float32"), **arrays)
    start = keras.Input((3,))
    model = keras.Model(start, [L.Dense(1, name=name)(start) for name in names])
    rows = []
    for weights in ({"a": "for_a", "b": "for_b"}, [f"for_{name}" for name in names]):
        y = {"a": "a", "b": "b"}
        dataset = ff.Dataset(str(tmp_path / "two.npz"), x="x", y=y, sample_weight=weights)
        given = {**FIT, "loss": {"a": "mse", "b": "mae"}, "weighted_metrics": {"a": ["mae"]}}
        rows.append(fleet.run(model=model, dataset=dataset, **given))
        assert rows[-1].status is JobStatus.SUCCEEDED, rows[-1].failure_message
    assert fleet.curve(rows[0].id) == fleet.curve(rows[1].id)


def test_a_step_of_its_own_gives_a_name_for_each_number(numbers: Path, fleet: Fleet) -> None:
    def run(function: str) -> JobRow:
        model = builder(f"own_models:{function}")
        return fleet.run(model=model, dataset=str(numbers), metrics=["mae"], **FIT)

    row = run("stepwise")
    assert {metric for _, _, metric, _ in fleet.curve(row.id)} == {"loss", "mae"}
    assert handle(fleet, row).history["mae"].gt(0).all()
    names = {metric for _, _, metric, _ in fleet.curve(run("listing").id)}
    assert names == {"loss", "mae", "each.0", "each.1", "each.2"}
    failed = run("compiled")
    assert failed.failure_class == "user"
    assert (failed.failure_message or "").startswith(
        "compile: Compiled has a compile() of its own, which is called with Keras's"
    )


@pytest.mark.slow
def test_an_export_can_be_loaded_or_is_refused_in_one_sentence(
    numbers: Path, fleet: Fleet, tmp_path: Path
) -> None:
    x = np.ones((2, 3), "float32")
    dense = fleet.run(
        model=keras.Sequential([keras.Input((3,)), L.Dense(1)]), dataset=str(numbers), **FIT
    )
    heads = fleet.run(model=attention(), dataset=str(numbers), **FIT)
    subclassed = fleet.run(model=builder("own_models:mlp"), dataset=str(numbers), **FIT)
    for row, held in ((dense, True), (heads, False), (subclassed, False)):
        job = handle(fleet, row)
        expected = job.load_model().predict(x, verbose=0)
        scope = {"Mlp": type(job.load_model())} if row is subclassed else {}
        path = job.export(tmp_path / f"{row.id}.keras")
        again = keras.saving.load_model(path, custom_objects=scope)
        np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
        weights = job.export(tmp_path / f"{row.id}.weights.h5")
        fresh = job.load_model()
        fresh.set_weights([0 * value for value in fresh.get_weights()])
        fresh.load_weights(weights)
        np.testing.assert_array_equal(fresh.predict(x, verbose=0), expected)
        old = tmp_path / f"{row.id}.h5"
        if not held:
            with pytest.raises(SpecError, match=r"^export: a \.h5 file cannot hold this"):
                job.export(old)
            assert not old.exists()
            continue
        again = keras.saving.load_model(job.export(old))
        np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
        job.export(tmp_path / "served")
        served = keras.layers.TFSMLayer(tmp_path / "served", call_endpoint="serve")
        np.testing.assert_array_equal(served(x), expected)
    closed = fleet.run(model=builder("own_models:closed"), dataset=str(numbers), **FIT)
    with pytest.raises(SpecError, match=r"^export: a \.keras file .* unexpected keyword argument"):
        handle(fleet, closed).export(tmp_path / "closed.keras")
    assert not list(tmp_path.glob(".*"))


def test_a_fitted_job_predicts_and_evaluates_here_as_its_worker_did(
    numbers: Path, fleet: Fleet
) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((16, 3), "float32"), rng.random((16, 1), "float32")
    path = numbers.with_name("test.npz")
    np.savez(path, x=rng.random((8, 3), "float32"), y=rng.random((8, 1), "float32"))
    with np.load(path) as other:
        test = {"x_test": other["x"], "y_test": other["y"]}
        whole = numbers.with_name("whole.npz")
        np.savez(whole, x=x, y=y, **test)
    row = fleet.run(
        model=builder("own_models:mlp"), dataset=str(whole), dtype_policy="float64", **FIT
    )
    job = handle(fleet, row)
    expected = fleet.scores(row.id)["test_loss"]
    assert job.evaluate(str(path), batch_size=8)["loss"] == expected
    assert job.evaluate((test["x_test"], test["y_test"]), batch_size=8)["loss"] == expected
    assert job.predict(x).dtype == "float64" and job.predict(x).shape == (16, 1)
    with pytest.raises(DatasetError, match=r"^x: does not fit the model"):
        job.predict(np.ones((2, 5)))


def test_averaged_weights_are_those_of_fit(numbers: Path, fleet: Fleet) -> None:
    def make() -> Any:
        ones = {"kernel_initializer": keras.initializers.GlorotUniform(seed=2)}
        return keras.Sequential([keras.Input((3,)), L.Dense(4, **ones), L.Dense(1, **ones)])

    def averaging() -> Any:
        return keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9)

    given = {"batch_size": 8, "epochs": 3, "shuffle": False}
    row = fleet.run(model=make(), dataset=str(numbers), loss="mse", optimizer=averaging(), **given)
    job, plain = handle(fleet, row), make()
    plain.compile(averaging(), "mse", jit_compile=False)
    with np.load(numbers) as file:
        history = plain.fit(file["x"], file["y"], **given, verbose=0).history
    assert list(job.history["loss"]) == history["loss"]
    for one, other in zip(job.load_model().get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
