"""Forms of model of Keras's example gallery, through a real worker, equal to plain Keras.

Those that once had no way in. docs/reference/gallery.md tells of every example.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gallery_models
import h5py
import keras
import numpy as np
import pytest
from plain import fit
from test_equal_to_plain_keras import assert_same_arrays

import fitfleet as ff
from fitfleet.spec.job import ModelSpec

pytestmark = pytest.mark.slow
MADE_BY_WORKER = ("graph", "siamese", "denoiser", "trainer")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gallery") / "data.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["x"] = rng.random((40, 6), "float32")
        file["y"] = (rng.random((40, 1)) > 0.5).astype("float32")
    return path


@pytest.fixture(scope="module")
def jobs(fleet: ff.Fleet, data: Path) -> dict[str, ff.Job]:
    given: dict[str, Any] = {"batch_size": 8, "epochs": 2, "seed": 3, "experiment": "gallery"}
    labelled, inputs = ff.Dataset(str(data)), ff.Dataset(str(data), x="x", y=None)
    submitted = {
        name: fleet.submit(
            model=ff.builder(getattr(gallery_models, name)),
            dataset=inputs if name == "denoiser" else labelled,
            **given,
        )
        for name in MADE_BY_WORKER
    }
    submitted["gated"] = fleet.submit(model=gallery_models.gated(), dataset=labelled, **given)
    return submitted


@pytest.mark.parametrize("name", ["gated", *MADE_BY_WORKER])
def test_it_is_equal_to_plain_keras(name: str, jobs: dict[str, ff.Job]) -> None:
    job = jobs[name].wait(timeout_s=240, raise_on_failure=True)
    made_there = job.spec.model.builder is not None
    assert made_there == (name in MADE_BY_WORKER)
    make = ff.builder(getattr(gallery_models, name))
    plain = fit(job.spec.model_copy(update={"model": ModelSpec(builder=make)}), None, [])
    for metric, values in plain.history.items():
        assert list(job.history[metric]) == [float(v) for v in values], (name, metric)
    assert_same_arrays(job.load_model().get_weights(), plain.model.get_weights(), job)


def test_a_feature_space_reads_raw_columns(fleet: ff.Fleet) -> None:
    space = keras.utils.FeatureSpace
    features: dict[str, Callable[..., Any]] = {
        "age": space.float_normalized(),
        "job": space.string_categorical(num_oov_indices=0),
        "sex": space.string_hashed(num_bins=3),
    }
    made = space(features, crosses=[space.cross(("job", "sex"), crossing_dim=4)])
    rng = np.random.default_rng(0)
    columns = {
        "age": rng.random(24).astype("float32"),
        "job": rng.choice(["cook", "smith"], 24),
        "sex": rng.choice(["f", "m"], 24),
    }
    import tensorflow as tf

    made.adapt(tf.data.Dataset.from_tensor_slices(columns).batch(8))
    outputs = keras.layers.Dense(1, activation="sigmoid")(made.get_encoded_features())
    model = keras.Model(made.get_inputs(), outputs)
    model.compile("adam", "binary_crossentropy")
    job = fleet.submit(model=model, dataset=(columns, rng.integers(0, 2, 24)), epochs=1)
    job.wait(timeout_s=240, raise_on_failure=True)
    fitted = job.load_model()
    assert fitted.predict(tf.data.Dataset.from_tensor_slices(columns).batch(8)).shape == (24, 1)
