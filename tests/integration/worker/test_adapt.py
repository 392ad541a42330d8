"""Layers that were not adapted are adapted by the worker, as plain Keras does on the same rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from fleets import DrainAfter, Fleet, assert_same_file
from support.servers import wait_until

from fitfleet.client.job import Job
from fitfleet.data.arrays import load
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.errors import SpecError
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.states import JobStatus
from fitfleet.weights.files import read_document

# The fleet of these tests is a child that registers no slot.
pytestmark = pytest.mark.filterwarnings("ignore:no worker is running yet")

L = keras.layers
ROWS, TRAINED = 48, 36
WORDS = np.array([b"bee", b"fly", b"ant", b"bug"])
FIT = {"loss": "mse", "optimizer": "adam", "batch_size": 12, "epochs": 2, "validation_split": 0.25}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers, codes, words and texts; what only the last quarter has would show in a state."""
    path = tmp_path_factory.mktemp("data") / "data.h5"
    rng = np.random.default_rng(0)
    words = rng.choice(WORDS, (ROWS, 1), p=[0.4, 0.3, 0.2, 0.1])
    numbers = rng.normal(3, 2, (ROWS, 4))  # float64
    codes = rng.integers(5, 9, (ROWS, 1))
    words[TRAINED:], numbers[TRAINED:], codes[TRAINED:] = b"owl", 100.0, 77
    with h5py.File(path, "w") as file:
        file["numbers"], file["codes"] = numbers, codes
        file["words"] = words
        file["texts"] = np.array([b" ".join(rng.choice(words[:, 0], 3)) for _ in range(ROWS)])
        file["texts"][TRAINED:] = b"whale"
        file["y"] = rng.random((ROWS, 1)).astype("float32")
    return path


def rows(data: Path, name: str) -> np.ndarray:
    """The training rows."""
    with h5py.File(data) as file:
        return file[name][:TRAINED]


def dataset(data: Path, *names: str) -> dict[str, Any]:
    return {"path": str(data), "x": dict(zip(names, names, strict=True)), "y": "y"}


def states(fleet: Fleet, row: JobRow) -> dict[str, Any]:
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    adapted: dict[str, Any] = read_document(fleet.artifact(row), fleet.settings)["adapted"]
    return adapted


def is_waiting(fleet: Fleet) -> bool:
    with fleet.database.read() as c:
        return bool(lookup.find_jobs(c, statuses=[JobStatus.QUEUED]))


def job_of(fleet: Fleet, row: JobRow) -> Job:
    return Job(fleet.database, fleet.settings, row)


def every_kind() -> Any:
    """One input and one layer of each class, and some in other modes."""
    numbers = keras.Input((4,), name="numbers")
    codes = keras.Input((1,), dtype="int64", name="codes")
    words = keras.Input((1,), dtype="string", name="words")
    texts = keras.Input((), dtype="string", name="texts")
    bins = L.Discretization(num_bins=3, name="bins")(numbers)
    tokens = L.TextVectorization(max_tokens=9, output_sequence_length=3, name="tokens")(texts)
    weighed = L.TextVectorization(
        output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True, name="weighed"
    )(texts)
    parts = [
        L.Normalization(name="scaled")(numbers),
        L.Normalization(axis=None, name="by_one")(numbers),
        L.Flatten()(L.Embedding(3, 2)(bins)),
        L.Flatten()(L.Embedding(9, 2)(L.IntegerLookup(name="numbered")(codes))),
        L.Flatten()(L.Embedding(9, 2)(L.StringLookup(name="looked_up")(words))),
        L.GlobalAveragePooling1D()(L.Embedding(9, 2)(tokens)),
        weighed,
    ]
    return keras.Model([numbers, codes, words, texts], L.Dense(1)(L.Concatenate()(parts)))


ALL = ("numbers", "codes", "words", "texts")


def test_every_layer_has_the_state_of_plain_keras_on_the_training_rows(
    data: Path, fleet: Fleet
) -> None:
    model = every_kind()
    row = fleet.run(model=model, dataset=dataset(data, *ALL), adapt=True, **FIT)
    adapted = states(fleet, row)
    for name, of in (("scaled", 0), ("by_one", 0), ("bins", 0), ("numbered", 1), ("looked_up", 2)):
        layer = model.get_layer(name)
        layer.adapt(rows(data, ALL[of]))
        if isinstance(layer, L.Normalization):
            np.testing.assert_array_equal(adapted[name]["mean"], layer.adapt_mean.numpy())
            np.testing.assert_array_equal(adapted[name]["variance"], layer.adapt_variance.numpy())
        elif isinstance(layer, L.Discretization):
            np.testing.assert_array_equal(adapted[name]["bin_boundaries"], layer.bin_boundaries)
        else:
            words = layer.get_vocabulary(include_special_tokens=False)
            assert adapted[name]["vocabulary"] == [
                getattr(w, "item", lambda w=w: w)() for w in words
            ]
    for name in ("tokens", "weighed"):
        layer = model.get_layer(name)
        layer.adapt([text.decode() for text in rows(data, "texts")])
        assert adapted[name]["vocabulary"] == layer.get_vocabulary(include_special_tokens=False)
    weights = layer._lookup_layer.idf_weights.numpy()  # of unknown words, the words, and padding
    np.testing.assert_array_equal(adapted["weighed"]["idf_weights"], weights[1:6])
    assert "adapted looked_up to 36 training rows" in fleet.log(row.id)
    assert "owl" not in adapted["looked_up"]["vocabulary"] and 77 not in adapted["numbered"]


@pytest.mark.slow
def test_the_fit_is_that_of_a_model_adapted_before_it_was_submitted(
    data: Path, fleet: Fleet
) -> None:
    model = every_kind()
    job = {"dataset": dataset(data, *ALL), "seed": 3, **FIT}
    row = fleet.run(model=model, adapt=True, **job)
    by_layer = states(fleet, row)
    config = model.get_config()
    for layer in config["layers"]:
        state = by_layer.get(layer["config"]["name"], {})
        adapted = {**layer["config"], **state}
        left_out = ("num_bins", "vocabulary_size")
        layer["config"] = {k: v for k, v in adapted.items() if k not in left_out}
    expected = fleet.run(model=keras.Model.from_config(config), experiment="given", **job)
    assert expected.status is JobStatus.SUCCEEDED, expected.failure_message
    assert fleet.curve(row.id) == fleet.curve(expected.id)


def small(**changes: Any) -> dict[str, Any]:
    """A model with one layer to adapt that stands first."""
    layers = [keras.Input((4,)), L.Normalization(), L.Dropout(0.2), L.Dense(3), L.Dense(1)]
    return {"model": keras.Sequential(layers), "adapt": "normalization", **FIT, **changes}


@pytest.mark.slow
def test_it_is_adapted_through_the_layers_before_it_and_in_nested_models(
    data: Path, fleet: Fleet
) -> None:
    inner = keras.Input((4,))
    nested = keras.Model(inner, L.Normalization(name="second")(inner), name="nested")
    start = keras.Input((4,), name="numbers")
    scaled = nested(L.Normalization(name="first")(L.Rescaling(0.5)(start)) * 3.0)
    one_hot = {"output_mode": "one_hot", "max_tokens": 6, "pad_to_max_tokens": True}
    top = L.StringLookup(name="category", **one_hot)
    words = keras.Input((1,), dtype="string", name="words")
    joined = L.Concatenate()([scaled, L.Normalization(name="third")(top(words))])
    model = keras.Model([start, words], L.Dense(1)(joined))
    row = fleet.run(model=model, dataset=dataset(data, "numbers", "words"), adapt=True, **FIT)
    adapted = states(fleet, row)
    assert set(adapted) == {"first", "nested/second", "category", "third"}
    halves = rows(data, "numbers").astype("float32") * np.float32(0.5)  # as the layer gives them
    first = L.Normalization()
    first.adapt(halves)
    np.testing.assert_array_equal(adapted["first"]["mean"], first.adapt_mean.numpy())
    np.testing.assert_allclose(adapted["nested/second"]["mean"], np.zeros(4), atol=1e-5)
    np.testing.assert_allclose(adapted["nested/second"]["variance"], np.full(4, 9.0), rtol=1e-4)
    assert adapted["category"]["vocabulary"] == ["bee", "fly", "ant", "bug"]
    counts = [(rows(data, "words") == word).mean() for word in WORDS]
    np.testing.assert_allclose(adapted["third"]["mean"], [0.0, *counts, 0.0], rtol=1e-5)


def test_it_is_adapted_in_wrappers_and_to_all_calls_of_a_layer(data: Path, fleet: Fleet) -> None:
    start = keras.Input((4,), name="numbers")
    series = L.Reshape((2, 2))(start)
    inner = keras.Sequential(
        [keras.Input((2,)), L.Rescaling(2.0), L.Normalization(name="deep")], name="inner"
    )
    by_step = L.TimeDistributed(L.Normalization(name="stepped"), name="steps")(series)
    deeper = L.TimeDistributed(inner, name="models")(series)
    grouped = L.TimeDistributed(L.TimeDistributed(L.Discretization(num_bins=3, name="bins")))(
        L.Reshape((2, 2, 1))(start)
    )
    shared = L.Normalization(name="shared")
    twice = L.Concatenate()([shared(start), shared(start * 10.0)])
    parts = [L.Flatten()(part) for part in (by_step, deeper, grouped, twice)]
    model = keras.Model(start, L.Dense(1)(L.Concatenate()(parts)))
    given = {"path": str(data), "x": "numbers", "y": "y"}
    row = fleet.run(model=model, dataset=given, adapt=True, **FIT)
    adapted = states(fleet, row)
    grouped_path = next(path for path in adapted if path.endswith("/bins"))
    assert set(adapted) == {
        *("steps/stepped", "models/inner/deep", "shared"),
        grouped_path,
    }
    numbers = rows(data, "numbers")
    within = numbers.astype("float32")  # what a layer gives to the next
    steps = within.reshape(-1, 2)
    tenfold = np.concatenate([numbers, within * np.float32(10.0)])
    for path, seen in (
        ("steps/stepped", steps),
        ("models/inner/deep", steps * np.float32(2.0)),
        ("shared", tenfold),
    ):
        layer = L.Normalization()
        layer.adapt(seen)
        np.testing.assert_array_equal(adapted[path]["mean"], layer.adapt_mean.numpy())
        np.testing.assert_array_equal(adapted[path]["variance"], layer.adapt_variance.numpy())
    bins = L.Discretization(num_bins=3)
    bins.adapt(within.reshape(-1, 1))
    np.testing.assert_array_equal(adapted[grouped_path]["bin_boundaries"], bins.bin_boundaries)
    loaded = job_of(fleet, row).load_model()
    np.testing.assert_array_equal(
        loaded.get_layer("steps").layer.input_mean, adapted["steps/stepped"]["mean"]
    )


@pytest.mark.parametrize("engine", [pytest.param("fit", marks=pytest.mark.slow), ""])
def test_a_resumed_fit_has_the_state_of_its_checkpoint(
    engine: str, data: Path, sqlite_url: str, tmp_path: Path
) -> None:
    job = small(dataset={"path": str(data), "x": "numbers", "y": "y"}, epochs=4)
    with Fleet(sqlite_url, tmp_path, engine=engine) as fleet:
        straight = fleet.run(**job, experiment="straight")
        torn = fleet.submit(**job, experiment="torn")
        fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
        fleet.attempt()
        fleet.child.is_draining = False
        assert fleet.row(torn).status is JobStatus.QUEUED
        fleet.attempt()
        row = fleet.row(torn)
        assert states(fleet, row) == states(fleet, straight)
        assert "adapted" in fleet.log(torn, 1) and "adapted" not in fleet.log(torn, 2)
        assert fleet.curve(torn) == fleet.curve(straight.id)
        assert_same_file(fleet.artifact(row), fleet.artifact(straight))


def test_jobs_of_a_cohort_have_the_state_that_each_has_alone(
    data: Path, sqlite_url: str, tmp_path: Path
) -> None:
    job = small(dataset={"path": str(data), "x": "numbers", "y": "y"}, fuse=False)
    with Fleet(sqlite_url, tmp_path) as fleet:
        together = [fleet.submit(**job, seed=seed, experiment="together") for seed in range(3)]
        fleet.attempt()
        for seed, job_id in enumerate(together):
            row = fleet.row(job_id)
            alone = fleet.run(**job, seed=seed, experiment="alone")
            assert states(fleet, row) == states(fleet, alone)
            assert fleet.curve(job_id) == fleet.curve(alone.id)
            assert_same_file(fleet.artifact(row), fleet.artifact(alone))


def test_each_fold_is_adapted_to_its_own_rows(data: Path, fleet: Fleet) -> None:
    job = small(validation_split=0.0, epochs=1)
    for index in range(2):
        fold = {"kind": "kfold", "k": 2, "index": index}
        path = {"path": str(data), "x": "numbers", "y": "y", "fold": fold}
        row = fleet.run(**job, dataset=path)
        layer = L.Normalization()
        layer.adapt(load(dataset_spec(path), fleet.settings, floatx="float64").x)
        mean = states(fleet, row)["normalization"]["mean"]
        np.testing.assert_array_equal(mean, layer.adapt_mean.numpy())


def test_the_state_goes_with_the_model_to_predictions_and_to_later_jobs(
    data: Path, fleet: Fleet, tmp_path: Path
) -> None:
    job = small(dataset={"path": str(data), "x": "numbers", "y": "y"})
    row = fleet.run(**job)
    state, source = states(fleet, row), job_of(fleet, row)
    model = source.load_model()
    np.testing.assert_array_equal(model.layers[0].input_mean, state["normalization"]["mean"])
    x = rows(data, "numbers")
    np.testing.assert_array_equal(source.predict(x), model.predict(x, verbose=0))
    again = keras.saving.load_model(source.export(tmp_path / "model.keras"))
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    with ThreadPoolExecutor(1) as pool:  # by a worker, on rows that would give another state
        asked = pool.submit(source.predict, x[:5], where="fleet")
        wait_until(lambda: asked.done() or is_waiting(fleet), "the task is queued")
        fleet.attempt()
        np.testing.assert_allclose(asked.result(60), source.predict(x[:5]), rtol=1e-6)
    source.extend(epochs=3)
    fleet.attempt()
    assert states(fleet, fleet.row(row.id)) == state
    # Of the whole file: its first rows are others.
    whole = {"dataset": {"path": str(data), "x": "numbers", "y": "y"}, "validation_split": 0.0}
    fine = fleet.run(model=job_of(fleet, fleet.row(row.id)), experiment="fine", epochs=1, **whole)
    assert states(fleet, fine) == state
    fresh = fleet.run(**{**job, **whole}, experiment="fresh")
    assert states(fleet, fresh) != state


def test_an_object_that_was_adapted_is_adapted_anew_when_asked(data: Path, fleet: Fleet) -> None:
    job = small(dataset={"path": str(data), "x": "numbers", "y": "y"}, epochs=1)
    job["model"].layers[0].adapt(np.full((4, 4), 50.0))
    row = fleet.run(**job)
    layer = L.Normalization()
    layer.adapt(rows(data, "numbers"))
    mean = states(fleet, row)["normalization"]["mean"]
    np.testing.assert_array_equal(mean, layer.adapt_mean.numpy())


@pytest.mark.slow
def test_many_rows_are_read_in_batches_as_from_a_tf_dataset(
    data: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow as tf

    from fitfleet.worker.models import adapt, adapt_rows

    monkeypatch.setattr(adapt, "WHOLE_BYTES", 10)
    monkeypatch.setattr(adapt_rows, "BATCH", 10)
    row = fleet.run(**small(dataset={"path": str(data), "x": "numbers", "y": "y"}))
    layer = L.Normalization()
    layer.adapt(tf.data.Dataset.from_tensor_slices(rows(data, "numbers")).batch(10))
    mean = states(fleet, row)["normalization"]["mean"]
    np.testing.assert_array_equal(mean, layer.adapt_mean.numpy())


def test_what_cannot_be_adapted_is_answered_in_one_sentence(data: Path, fleet: Fleet) -> None:
    numbers = {"path": str(data), "x": "numbers", "y": "y"}
    for adapt, says in (
        (
            "normalisation",
            r"^adapt: no layer is called 'normalisation'; did you mean normalization\?",
        ),
        ("dense", r"^adapt: 'dense' is a Dense, which has nothing to adapt"),
        (3, r"^adapt: 3 is neither True nor a list of names"),
    ):
        with pytest.raises(SpecError, match=says):
            fleet.submit(**small(dataset=numbers, adapt=adapt))
    given = keras.Sequential([keras.Input((4,)), L.Normalization(mean=0.0, variance=1.0)])
    with pytest.raises(SpecError, match=r"^adapt: 'normalization' has its mean already"):
        fleet.submit(**small(dataset=numbers, model=given))
    behind = keras.Sequential([keras.Input((4,)), L.Dense(2), L.Normalization(), L.Dense(1)])
    row = fleet.run(**small(dataset=numbers, model=behind))
    assert row.failure_class == "user"
    assert "'normalization' comes after 'dense', which has weights" in str(row.failure_message)
    words = keras.Sequential(
        [keras.Input((1,), dtype="string"), L.StringLookup(), L.Embedding(9, 1), L.Flatten()]
    )
    with pytest.raises(SpecError, match=r"vocabulary: give the vocabulary .* adapt=True"):
        fleet.submit(**small(dataset={**numbers, "x": "words"}, model=words, adapt=None))


def test_missing_values_are_reported_before_the_fit(fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "missing.npz"
    np.savez(path, x=np.array([[1.0, np.nan, 2.0, 3.0]] * 12, "float32"), y=np.zeros((12, 1)))
    row = fleet.run(**small(dataset=str(path), validation_split=0.0))
    assert row.failure_class == "user"
    assert "'normalization': mean of the training rows is not finite" in str(row.failure_message)
