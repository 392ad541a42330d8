"""Names that Keras makes up do not tell what a child has run before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from fleets import DrainAfter, Fleet

from fitfleet.client.job import Job
from fitfleet.spec.job import DatasetSpec, ModelSpec
from fitfleet.spec.parts.layers import builder
from fitfleet.spec.submission import job_spec
from fitfleet.worker.keras_private import global_state
from fitfleet.worker.models.build import architecture
from fitfleet.worker.user_code import name_counts

HERE = Path(__file__).parent
PLAIN = """
import json, naming_models, numpy
model = naming_models.two_outputs()
x, y = numpy.zeros((8, 3)), numpy.zeros((8, 1))
print(json.dumps(sorted(model.fit(x, [y, y], verbose=0).history)))
"""


@pytest.fixture
def fleet(sqlite_url: str, tmp_path: Path) -> Iterator[Fleet]:
    trusting = {"trusted_modules": ("naming_models",), "module_path": (str(HERE),)}
    with Fleet(sqlite_url, tmp_path, engine="fit", **trusting) as fleet:
        yield fleet


def arguments(model: str, folder: Path) -> dict[str, Any]:
    path = folder / "data.npz"
    np.savez(path, x=np.ones((16, 3), "float32"), y=np.ones((16, 1), "float32"))
    labels: Any = ["y", "y"] if model == "two_outputs" else "y"
    dataset = DatasetSpec(path=str(path), x="x", y=labels)
    given = {"model": builder(f"naming_models:{model}"), "dataset": dataset, "batch_size": 8}
    return given | ({} if model == "two_outputs" else {"loss": "mse"})


def names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]


@pytest.mark.slow
def test_metrics_are_named_as_in_a_fresh_process(fleet: Fleet, tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-c", PLAIN], capture_output=True, text=True, cwd=HERE, check=True
    ).stdout
    fresh = json.loads(out.splitlines()[-1])
    job = arguments("two_outputs", tmp_path)
    for seed in (0, 1):  # the second one comes after another model of the same child
        row = fleet.run(**job, epochs=1, seed=seed)
        assert row.failure_message is None
        columns = Job(fleet.database, fleet.settings, row).history.columns
        assert sorted(set(columns) - {"epoch"}) == fresh
    straight = fleet.run(**job, epochs=3, seed=2, experiment="straight")
    torn = fleet.submit(**job, epochs=3, seed=2, experiment="torn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    fleet.child.is_draining = False
    architecture(Job(fleet.database, fleet.settings, straight).spec, fleet.settings)
    fleet.attempt()
    assert fleet.curve(torn) == fleet.curve(straight.id)


def test_a_layer_of_the_module_keeps_its_name_for_itself(fleet: Fleet, tmp_path: Path) -> None:
    keras.layers.Dense(1)
    spec = job_spec(fleet.settings, **arguments("beside_shared", tmp_path))
    made_there = ModelSpec(builder=builder("naming_models:beside_shared"))
    spec = spec.model_copy(update={"model": made_there})
    first = names(architecture(spec, fleet.settings))
    assert names(architecture(spec, fleet.settings)) == first
    assert len(set(first)) == 3


def test_a_script_counts_on_from_both() -> None:
    attribute = "object_name_uids"
    global_state.set_global_attribute(attribute, defaultdict(int, {"dense": 3, "lstm": 1}))
    with name_counts.beside_a_script():
        name_counts.restart()
        assert keras.layers.Dense(1).name in ("dense", "dense_1")
        keras.layers.GRU(1)
    assert keras.layers.Dense(1).name == "dense_3"
    assert keras.layers.GRU(1).name == "gru_1"
