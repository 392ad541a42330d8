"""A fit starts from the weights that its job brings: what plain Keras does with the same object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from fleets import DrainAfter, Fleet
from support.parts import quick

from fitfleet.client.job import Job
from fitfleet.db.jobs import dependencies
from fitfleet.db.reading.lookup import JobRow
from fitfleet.errors import SpecError
from fitfleet.states import JobStatus

L = keras.layers
FIT = {"batch_size": 8, "epochs": 2, "shuffle": False, "seed": 1}


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    with Fleet(sqlite_url, tmp_path) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers, tokens and targets of 40 rows; nothing to validate or test on."""
    path = tmp_path_factory.mktemp("data") / "data.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["numbers"] = rng.normal(size=(40, 3)).astype("float32")
        file["tokens"] = rng.integers(1, 9, (40, 4))
        file["targets"] = rng.random((40, 1)).astype("float32")
    return path


def arrays(data: Path, *names: str) -> list[np.ndarray]:
    with h5py.File(data) as file:
        return [file[name][()] for name in names]


def dataset_of(data: Path, x: str) -> dict[str, Any]:
    return {"path": str(data), "x": x, "y": "targets"}


def weights(fleet: Fleet, row: JobRow) -> list[np.ndarray]:
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    model = Job(fleet.database, fleet.settings, row).load_model()
    return [np.asarray(value) for value in model.get_weights()]


def trained_model(data: Path) -> Any:
    """Compiled and fitted for an epoch, so that its Adam has moments."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, "tanh"), L.Dense(1)])
    model.compile("adam", "mse", jit_compile=False)
    x, y = arrays(data, "numbers", "targets")
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    return model


def test_a_fitted_object_is_continued_as_its_own_fit_would(data: Path, fleet: Fleet) -> None:
    model = trained_model(data)
    row = fleet.run(model=model, dataset=dataset_of(data, "numbers"), **FIT)
    x, y = arrays(data, "numbers", "targets")
    plain = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert [p[3] for p in fleet.curve(row.id)] == plain.history["loss"]
    for left, right in zip(weights(fleet, row), model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_another_optimizer_starts_at_its_own_beginning(data: Path, fleet: Fleet) -> None:
    model = trained_model(data)
    row = fleet.run(model=model, dataset=dataset_of(data, "numbers"), optimizer="sgd", **FIT)
    x, y = arrays(data, "numbers", "targets")
    model.compile("sgd", "mse", jit_compile=False)
    plain = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert [p[3] for p in fleet.curve(row.id)] == plain.history["loss"]


def test_embeddings_and_frozen_bases_keep_what_they_were_given(data: Path, fleet: Fleet) -> None:
    matrix = np.arange(36.0, dtype="float32").reshape(9, 4)
    base = keras.Sequential([keras.Input((4, 4)), L.Dense(2)], name="base")
    base.trainable = False
    start = keras.Input((4,), dtype="int32")
    known = L.Embedding(9, 4, keras.initializers.Constant(matrix), trainable=False, name="glove")
    model = keras.Model(start, L.Dense(1)(L.Flatten()(base(known(start)))))
    before = [np.asarray(value) for value in model.get_weights()]
    row = fleet.run(
        model=model, dataset=dataset_of(data, "tokens"), loss="mse", optimizer="sgd", **FIT
    )
    glove, kernel, bias, head, _ = weights(fleet, row)
    for left, right in zip((glove, kernel, bias), before, strict=False):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(head, before[3])


@pytest.mark.parametrize("suffix", quick([".weights.h5", ".keras", ".h5"], ".weights.h5"))
def test_every_file_of_keras_gives_the_same_start(
    suffix: str, data: Path, fleet: Fleet, tmp_path: Path
) -> None:
    model = trained_model(data)
    path = tmp_path / f"model{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(path)
    job = {"dataset": dataset_of(data, "numbers"), "loss": "mse", "optimizer": "sgd", **FIT}
    fresh = keras.Sequential([keras.Input((3,)), L.Dense(4, "tanh"), L.Dense(1)])
    row = fleet.run(model=fresh, initial_weights=path, **job)
    expected = fleet.run(model=model, experiment="object", **job)
    assert [p[3] for p in fleet.curve(row.id)] == [p[3] for p in fleet.curve(expected.id)]


def test_a_job_starts_from_another_by_the_names_and_shapes_of_layers(
    data: Path, fleet: Fleet
) -> None:
    def model(last: Any) -> Any:
        return keras.Sequential([keras.Input((3,)), L.Dense(4, name="base_one"), *last])

    job = {"dataset": dataset_of(data, "numbers"), "loss": "mse", "optimizer": "sgd", **FIT}
    row = fleet.run(model=model([L.Dense(1, name="head")]), **job)
    source = Job(fleet.database, fleet.settings, row)
    other = model([L.Dense(2, name="new"), L.Dense(1, name="head")])
    row = fleet.run(model=other, init_from=source, freeze="base*", **job)
    kernel, *_ = weights(fleet, row)
    np.testing.assert_array_equal(kernel, source.weights()["layers/dense/vars/0"])
    detail = next(e["detail"] for e in fleet.events(row.id) if e["kind"] == "initial_weights")
    assert detail == (
        "weights of 1 layers were loaded; not there: new;"
        " of other shapes: head 4x1 1 instead of 2x1 1"
    )
    assert detail in fleet.log(row.id)


def test_a_job_that_waited_for_another_is_the_one_submitted_after_it(
    data: Path, fleet: Fleet
) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, name="base"), L.Dense(1, name="head")])
    job = {"dataset": dataset_of(data, "numbers"), "loss": "mse", "optimizer": "adam", **FIT}
    first = fleet.submit(model=model, **job)
    source = Job(fleet.database, fleet.settings, fleet.row(first))
    fine = {"freeze": "base", "dataset": dataset_of(data, "numbers"), "epochs": 1}
    waiting = fleet.submit(model=source, experiment="fine", **fine)
    fleet.attempt()
    assert fleet.row(waiting).status is JobStatus.QUEUED
    with fleet.database.begin() as c:
        assert dependencies.settle(c) == [waiting]
    fleet.attempt()
    after = fleet.run(model=source, experiment="after", **fine)
    pairs = zip(weights(fleet, fleet.row(waiting)), weights(fleet, after), strict=True)
    for left, right in pairs:
        np.testing.assert_array_equal(left, right)
    assert fleet.curve(waiting) == fleet.curve(after.id)


def test_a_job_starts_from_another_with_other_data_and_frozen_layers(
    data: Path, fleet: Fleet
) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, name="base"), L.Dense(1, name="head")])
    source = fleet.run(
        model=model, dataset=dataset_of(data, "numbers"), loss="mse", optimizer="adam", **FIT
    )
    before = weights(fleet, source)
    handle = Job(fleet.database, fleet.settings, source)
    row = fleet.run(
        model=handle,
        freeze="base",
        dataset=dataset_of(data, "numbers"),
        epochs=1,
        experiment="fine",
    )
    after = weights(fleet, row)
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [
        *[True] * 2,
        *[False] * 2,
    ]


def test_a_fit_from_given_weights_is_resumed_to_the_bit(data: Path, fleet: Fleet) -> None:
    job = {"model": trained_model(data), "dataset": dataset_of(data, "numbers"), **FIT}
    straight = fleet.run(**job, experiment="straight")
    torn = fleet.submit(**job, experiment="torn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [0])
    fleet.attempt()
    fleet.child.is_draining = False
    fleet.attempt()
    assert fleet.curve(torn) == fleet.curve(straight.id)
    for left, right in zip(weights(fleet, fleet.row(torn)), weights(fleet, straight), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_cohort_from_given_weights_is_each_job_alone(data: Path, fleet: Fleet) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    model.set_weights([np.ones((3, 1)), np.ones(1)])
    job = {"model": model, "dataset": dataset_of(data, "numbers"), "loss": "mse", **FIT}

    def submit(rate: float, **more: Any) -> int:
        return fleet.submit(**job, optimizer={"SGD": {"learning_rate": rate}}, **more)

    together = [submit(rate) for rate in (0.01, 0.02)]
    fleet.attempt()
    alone = submit(0.02, experiment="alone", fuse=False)
    fleet.attempt()
    assert fleet.row(together[1]).status is JobStatus.SUCCEEDED
    assert fleet.curve(together[1]) == fleet.curve(alone)


def test_other_weights_are_another_job_and_the_same_weights_the_same(
    data: Path, fleet: Fleet
) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    job = {"dataset": dataset_of(data, "numbers"), "loss": "mse", "optimizer": "sgd"}
    model.set_weights([np.ones((3, 1)), np.ones(1)])
    first, again = (fleet.submit(model=model, **job) for _ in range(2))
    model.set_weights([np.ones((3, 1)), np.zeros(1)])
    assert first == again != fleet.submit(model=model, **job)


def test_a_file_of_another_model_is_the_users_failure(
    data: Path, fleet: Fleet, tmp_path: Path
) -> None:
    other = keras.Sequential([keras.Input((3,)), L.Dense(2)])
    other.save_weights(tmp_path / "other.weights.h5")
    row = fleet.run(
        model=keras.Sequential([keras.Input((3,)), L.Dense(1)]),
        initial_weights=tmp_path / "other.weights.h5",
        dataset=dataset_of(data, "numbers"),
        loss="mse",
        optimizer="sgd",
    )
    assert row.failure_class == "user"
    assert "initial_weights: the file is of another model" in str(row.failure_message)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"initial_weights": "weights.txt"}, "does not end in one of"),
        ({"initial_weights": "absent.keras"}, "does not exist"),
        ({"init_from": 3}, "neither a job nor the path"),
        ({"init_from": "a.keras", "initial_weights": "b.keras"}, "give one of the two"),
        ({"freeze": "bose"}, "no layer is called 'bose'; did you mean base?"),
        ({"freeze": 3}, "neither a name of layers nor a list"),
    ],
)
def test_what_is_no_start_is_refused_before_queueing(
    given: dict[str, Any], words: str, data: Path, fleet: Fleet
) -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(1, name="base")])
    job = {"dataset": dataset_of(data, "numbers"), "loss": "mse", "optimizer": "sgd"}
    with pytest.raises(SpecError, match=words):
        fleet.submit(model=model, **job, **given)
