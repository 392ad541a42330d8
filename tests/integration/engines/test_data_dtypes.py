"""Files of every dtype under every dtype policy: the engines and Keras's `fit` on NumPy arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import ledger
import numpy as np
import pytest
from support.parts import sampled
from test_loop import SeedEpochs

from fitfleet.data.arrays import Arrays, load
from fitfleet.spec.job import DatasetSpec, JobSpec
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.engines.traced.fresh_state import optimizer_variables
from fitfleet.worker.models.build import build, precision

L = keras.layers
ROWS, HELD_OUT = 21, 9
POLICIES = ("", "float64", "mixed_float16", "mixed_bfloat16", "bfloat16")
DTYPES = ("float16", "float32", "float64", "int32", "uint8", "bool")
CASES = [
    *(f"rows:{dtype}:{policy}" for dtype in DTYPES for policy in POLICIES),
    *(f"classes:{dtype}:{policy}" for dtype in DTYPES for policy in ("", "float64")),
    *(f"steps:float32:{policy}" for policy in POLICIES),
]
CLASS_WEIGHT = {0: 0.3, 2: 1.7}  # of three classes, and no number of 24 bits


def _columns(dtype: str) -> dict[str, np.ndarray]:
    """x, y and their weights, in a dtype that holds more or fewer bits than the model's."""
    random = np.random.default_rng(0)
    scale = 1 if dtype == "bool" else 3
    arrays = {
        "x": random.random((ROWS, 5, 2)) * scale,
        "y": random.random((ROWS, 3)) * scale,
        "sample_weight": random.random(ROWS) * scale,
    }
    if dtype == "bool":
        arrays = {name: array > 0.5 for name, array in arrays.items()}
    held_out = {f"{name}_val": array[:HELD_OUT] for name, array in arrays.items()}
    return {name: array.astype(dtype) for name, array in {**arrays, **held_out}.items()}


def _spec(policy: str | None, **given: Any) -> JobSpec:
    model = keras.Sequential(
        [keras.Input((5, 2)), L.Flatten(), L.Dropout(0.2), L.Dense(3, activation="softmax")]
    )
    arguments = {"loss": "mse", "optimizer": "adam", "weighted_metrics": ["mae"]}
    fitted = {"batch_size": 8, "epochs": 2, "shuffle": False, "dtype_policy": policy}
    return ledger.spec(model, **{**arguments, **fitted, **given})


def _plain(spec: JobSpec, columns: dict[str, np.ndarray]) -> tuple[Any, list[Any], list[Any]]:
    """History, variables and optimizer of Keras's `fit` on the arrays."""
    held_out = tuple(columns[f"{name}_val"] for name in ("x", "y", "sample_weight"))
    classes = {int(key): value for key, value in (spec.class_weight or {}).items()}
    with precision(spec.dtype_policy):
        steps = spec.steps_per_execution
        model = build(spec, ledger.SETTINGS, steps_per_execution=steps)
        history = model.fit(
            columns["x"],
            columns["y"],
            sample_weight=None if classes else columns["sample_weight"],
            class_weight=classes or None,
            validation_data=held_out,
            batch_size=8,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[SeedEpochs(spec)],
        ).history
    optimizer = optimizer_variables(model.optimizer)
    return history, *([v.numpy() for v in part] for part in (model.variables, optimizer))


def _distance(spec: JobSpec, engine: Engine, arrays: Arrays, expected: Any) -> float:
    """The largest difference of a number by an engine, of the second of three jobs in a stack."""
    seeds = (8, spec.seed, 9) if engine.trains_together else (spec.seed,)
    jobs = [ledger.prepared(spec.model_copy(update={"seed": seed}), arrays, seed) for seed in seeds]
    result = ledger.train(engine, jobs)
    for error in result.errors.values():
        raise error
    assert result.engines[-1][0] == engine.name
    history, weights, optimizer = expected
    number = spec.seed
    epochs = [{name: values[e] for name, values in history.items()} for e in range(2)]
    assert [set(logs) for _, logs in result.logs[number]] == [set(logs) for logs in epochs]
    pairs = [
        (logs[name], values[name])
        for (_, logs), values in zip(result.logs[number], epochs, strict=True)
        for name in logs
    ]
    pairs += zip(result.weights[number], weights, strict=True)
    pairs += zip(result.optimizer[number], optimizer, strict=True)
    return max(
        float(np.abs(np.asarray(a, "float64") - np.asarray(b, "float64")).max(initial=0))
        for a, b in pairs
    )


@pytest.mark.parametrize(
    "case", sampled(CASES, "rows:float64:", slow=["classes:float64:float64", "steps:float32:"])
)
def test_engines_read_files_as_keras_reads_arrays(case: str, tmp_path: Path) -> None:
    """With weights of rows or of classes, or with 3 steps of which 2 make a call.

    To the bit alone; in a stack to 1e-10 in float64, and nearly so in float32.
    """
    kind, dtype, policy = case.split(":")
    columns = _columns(dtype)
    given: dict[str, Any] = {"steps_per_execution": 2 if kind == "steps" else 1}
    if kind == "classes":
        columns["y"] = np.eye(3)[np.arange(ROWS) % 3].astype(dtype)
        given["class_weight"] = CLASS_WEIGHT
    spec = _spec(policy or None, seed=4, **given)
    np.savez(tmp_path / "data.npz", **columns)
    roles: dict[str, Any] = {name: name for name in columns}
    if kind == "classes":
        roles["sample_weight"] = False
    dataset = DatasetSpec(path=str(tmp_path / "data.npz"), **roles)
    settings = ledger.SETTINGS.replace(cache=str(tmp_path / "cache"))
    arrays = load(dataset, settings, floatx=spec.floatx)
    expected = _plain(spec, columns)
    fit = KerasFit(settings)
    for engine in (fit, LoopFit(settings, fallback=fit)):
        assert _distance(spec, engine, arrays, expected) == 0, engine.name
    if policy in ("", "float64"):
        tolerance = 1e-10 if policy else 1e-5
        assert _distance(spec, FusedFit(settings), arrays, expected) <= tolerance
