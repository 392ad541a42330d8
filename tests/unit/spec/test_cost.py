"""Small specs that ask for much work are refused before any of it is done."""

import gc
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check
from fitfleet.spec.submission import job_spec

SETTINGS = Settings()


def layer(class_name: str, config: Any = None, **more: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config or {}, **more}


def dense(units: int = 1, **more: Any) -> dict[str, Any]:
    return layer("Dense", {"units": units, **more})


def sequential(*layers: Any, shape: tuple[int, ...] | None = (4,)) -> dict[str, Any]:
    start = [] if shape is None else [layer("InputLayer", {"batch_shape": [None, *shape]})]
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": [*start, *layers]}}


def tensor(name: str, call: int) -> dict[str, Any]:
    config = {"shape": [None, 4], "dtype": "float32", "keras_history": [name, call, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def nested(depth: int, calls: int) -> dict[str, Any]:
    """A model that calls a model so often, and so on, `depth` deep."""
    start = layer("InputLayer", {"batch_shape": [None, 4], "name": "a"}, name="a", inbound_nodes=[])
    inner = nested(depth - 1, calls) if depth else layer("Activation", {"activation": "relu"})
    inner["config"]["name"] = inner["name"] = "b"
    ends = [("a", 0), *(("b", i) for i in range(calls - 1))]
    inner["inbound_nodes"] = [{"args": [tensor(*end)], "kwargs": {}} for end in ends]
    config = {
        "name": "f",
        "layers": [start, inner],
        "input_layers": [["a", 0, 0]],
        "output_layers": [["b", calls - 1, 0]],
    }
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


def facts(model: Any, **given: Any) -> Any:
    spec = job_spec(
        SETTINGS, **{"model": model, "dataset": "x.npz", "loss": "mse", "optimizer": "sgd", **given}
    )
    return check(spec, SETTINGS)


WRAPPED = layer("TimeDistributed", {"layer": sequential(*[dense(8192)] * 9, shape=(4,))})
CELLS = {"cells": [layer("LSTMCell", {"units": 2})] * 250}
COSTLY: dict[str, tuple[Any, str]] = {
    "calls that multiply": (nested(7, 8), "max_calls"),
    "weights of an einsum": (
        sequential(
            layer("EinsumDense", {"equation": "ab,bcd->acd", "output_shape": [9000, 9000]}),
            shape=(16,),
        ),
        "max_parameters",
    ),
    "weights without an input": (sequential(*[dense(8192)] * 60, shape=None), "max_parameters"),
    "weights under a wrapper": (sequential(WRAPPED, shape=(3, 4)), "max_parameters"),
    "weights of a transposed convolution": (
        sequential(
            layer(
                "Conv1DTranspose",
                {"filters": 8192, "kernel_size": 1, "strides": 2, "output_padding": 1},
            ),
            layer("Conv1D", {"filters": 8192, "kernel_size": 16}),
            shape=(8, 4),
        ),
        "max_parameters",
    ),
    "repeats": (
        sequential(
            layer("RepeatVector", {"n": 10_000}),
            layer("Flatten"),
            layer("RepeatVector", {"n": 10_000}),
        ),
        "max_row_values",
    ),
    "padding": (
        sequential(layer("ZeroPadding3D", {"padding": 5_000_000}), shape=(1, 1, 1, 4)),
        "max_row_values",
    ),
    "upsampling": (
        sequential(layer("UpSampling2D", {"size": 1024}), shape=(99, 99, 4)),
        "max_row_values",
    ),
    "steps of a middle layer": (
        sequential(
            layer("RepeatVector", {"n": 10_000}), layer("LSTM", {"units": 2, "unroll": True})
        ),
        "max_unrolled_cells",
    ),
    "steps that are not known": (
        sequential(layer("LSTM", {"units": 2, "unroll": True}), shape=(None, 2)),
        "number of steps is known",
    ),
    "many cells": (
        sequential(
            layer("RNN", {"unroll": True, "cell": layer("StackedRNNCells", CELLS)}), shape=(64, 1)
        ),
        "max_unrolled_cells",
    ),
    "power iterations": (
        sequential(
            layer("SpectralNormalization", {"layer": dense(2), "power_iterations": 5_000_000})
        ),
        "max_iterations",
    ),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_model_that_costs_too_much_is_refused_at_once(name: str) -> None:
    model, setting = COSTLY[name]
    began = time.process_time()
    with pytest.raises(SpecError) as caught:
        facts(model)
    assert setting in str(caught.value)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metrics": [{"AUC": {"num_thresholds": 10**9}}]}, "max_metric_values"),
        ({"metrics": [{"MeanIoU": {"num_classes": 10**6}}]}, "max_metric_values"),
        ({"optimizer": {"Muon": {"ns_steps": 10**9}}}, "max_iterations"),
        ({"optimizer": {"Muon": {"exclude_layers": ["(a|a)*$"]}}}, "repeat in a regular expr"),
    ],
)
def test_an_optimizer_or_metric_that_costs_too_much_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        facts(sequential(dense()), **given)
    assert message in str(caught.value)


def test_calls_of_nested_models_are_counted_in_full() -> None:
    assert facts(nested(2, 3)).calls == 1 + 3 * (1 + 3 * (1 + 3))


@pytest.fixture
def nothing_to_collect() -> Iterator[None]:
    """Garbage collection passes over nothing that other tests have left."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_to_collect")
def test_the_check_of_a_megabyte_takes_no_second() -> None:
    layers = [dense(1 + i % 9, name=f"a{i:0100}") for i in range(1900)]
    deep = {"a": 1}
    for _ in range(30):
        deep = {"a": deep, "b": [0] * 90}  # type: ignore[dict-item]
    model = json.dumps(sequential(*layers))
    assert len(model) > 300_000
    began = time.process_time()
    facts(model)
    with pytest.raises(SpecError):
        facts(json.dumps(sequential(dense(activation=deep))))
    assert time.process_time() - began < 1


def test_a_part_of_a_layers_name_may_be_excluded_from_muon() -> None:
    optimizer = {"Muon": {"exclude_layers": ["output_dense", "block_1/", "^head.2$"]}}
    assert facts(sequential(dense()), optimizer=optimizer).parameters == 5
