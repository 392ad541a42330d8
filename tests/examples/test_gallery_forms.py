"""More forms of model of Keras's example gallery, through a real worker, equal to plain Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gallery_layers
import gallery_steps
import h5py
import numpy as np
import pytest
from plain import fit
from test_equal_to_plain_keras import assert_same_arrays

import fitfleet as ff
from fitfleet.spec.job import ModelSpec

pytestmark = pytest.mark.slow
FORMS = {make.__name__: make for make in (*gallery_layers.LAYERS, *gallery_steps.STEPS)}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forms") / "images.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = rng.random((20, 8, 8, 3), "float32"), rng.integers(0, 3, 20)
    return path


@pytest.fixture(scope="module")
def jobs(fleet: ff.Fleet, images: Path) -> dict[str, ff.Job]:
    given: dict[str, Any] = {"batch_size": 8, "epochs": 2, "seed": 3, "experiment": "forms"}
    return {
        name: fleet.submit(model=ff.builder(make), dataset=ff.Dataset(str(images)), **given)
        for name, make in FORMS.items()
    }


@pytest.mark.parametrize("name", FORMS)
def test_it_is_equal_to_plain_keras(name: str, jobs: dict[str, ff.Job]) -> None:
    job = jobs[name].wait(timeout_s=240, raise_on_failure=True)
    made_here = ModelSpec(builder=ff.builder(FORMS[name]))
    plain = fit(job.spec.model_copy(update={"model": made_here}), None, [])
    for metric, values in plain.history.items():
        assert list(job.history[metric]) == [float(v) for v in values], metric
    assert_same_arrays(job.load_model().get_weights(), plain.model.get_weights(), job)
