"""Keywords of `submit` become a spec; each bad one is refused in one sentence with its place."""

import inspect
import json
import time
from typing import Any

import numpy as np
import pytest

import fitfleet as ff
from fitfleet.errors import DatasetError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.submission import job_options, job_spec

SETTINGS = Settings()
MODEL = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(3, activation="softmax")])


def spec(**given: Any) -> JobSpec:
    return job_spec(SETTINGS, **{"model": MODEL, "dataset": "d.h5", "loss": "mse", **given})


def test_defaults_are_those_of_keras() -> None:
    job = spec()
    assert job.optimizer["class_name"] == "RMSprop"
    assert job.optimizer["config"] == {"learning_rate": 0.001}
    assert (job.batch_size, job.epochs, job.shuffle, job.seed) == (32, 1, True, 0)


def test_a_spec_survives_its_canonical_text() -> None:
    job = spec(metrics=["accuracy"], callbacks=["TerminateOnNaN"], class_weight={0: 1, 1: 2.5})
    assert JobSpec.from_canonical(job.canonical()) == job
    assert json.loads(job.canonical())["class_weight"] == {"0": 1.0, "1": 2.5}


def _batches() -> None:
    """A generator function that was not called."""


def test_numpy_numbers_are_numbers() -> None:
    job = spec(seed=np.int64(3), validation_split=np.float64(0.5), epochs=np.int32(2))
    assert (job.seed, job.validation_split, job.epochs) == (3, 0.5, 2)
    classes = dict(zip(np.unique([2, 0, 1]), np.array([1, 2, 3], "float32"), strict=True))
    assert spec(class_weight=classes).class_weight == {"0": 1.0, "1": 2.0, "2": 3.0}
    options = job_options(SETTINGS, params={"units": np.int64(4), "rates": np.array([0.5, 1])})
    assert options.params == {"units": 4, "rates": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs: 0 is not a positive integer"),
        ({"epochs": 2.5}, "epochs: 2.5 is not a positive integer"),
        ({"batch_size": 0}, "batch_size: 0 is not a positive integer"),
        ({"batch_size": True}, "batch_size: True is not a positive integer"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: 0 is not a positive integer"),
        ({"steps_per_epoch": -3}, "steps_per_epoch: -3 is not a positive integer"),
        ({"steps_per_epoch": True}, "steps_per_epoch: True is not a positive integer"),
        ({"initial_epoch": -1}, "initial_epoch: -1 is not an integer of 0 or more"),
        ({"initial_epoch": 1.0}, "initial_epoch: 1.0 is not an integer of 0 or more"),
        (
            {"epochs": 2, "initial_epoch": 2},
            "initial_epoch: 2 leaves none of epochs=2, which counts those before it too, as in"
            " Keras; give a smaller one, or more epochs",
        ),
        ({"batch_size": "64"}, "batch_size: '64' is not a positive integer"),
        ({"validation_split": 1.0}, "validation_split: 1.0 is not a fraction from 0 to below 1"),
        ({"validation_split": -0.1}, "validation_split: -0.1 is not a fraction"),
        ({"validation_split": float("nan")}, "validation_split: nan is not a fraction"),
        ({"steps_per_execution": 0}, "steps_per_execution: 0 is not an integer from 1 to 1000"),
        ({"validation_steps": 0}, "validation_steps: 0 is not a positive integer"),
        ({"validation_freq": 0}, "validation_freq: 0 is not a positive integer, or a list of"),
        ({"validation_freq": True}, "validation_freq: True is not a positive integer"),
        ({"validation_freq": []}, "validation_freq: [] is not a positive integer, or a list"),
        ({"validation_freq": [0, 2]}, "validation_freq: [0, 2] is not a positive integer"),
        ({"seed": 1.5}, "seed: 1.5 is not an integer"),
        ({"seed": -1}, "seed: -1 is not an integer"),
        ({"seed": "a"}, "seed: 'a' is not an integer"),
        ({"shuffle": "batch"}, "shuffle: 'batch' is not true or false"),
        ({"jit_compile": "yes"}, "jit_compile: 'yes' is not one of"),
        ({"dtype_policy": "float8"}, "dtype_policy: 'float8' is not one of"),
        ({"class_weight": [1, 2]}, "class_weight: [1, 2] is not a mapping"),
        ({"class_weight": {"cat": 1}}, "class_weight.cat: 'cat' is not the index of a class"),
        ({"class_weight": {0: -1}}, "class_weight.0: -1 is not a number of 0 or more"),
        ({"loss": None}, "loss: is missing"),
        ({"loss": None, "loss_weights": 2.0}, "loss_weights: there is no loss to weigh"),
        ({"loss": "mze"}, "loss: mze is unknown; did you mean "),
        ({"metrics": ["acuracy"]}, "metrics[0]: acuracy is unknown; did you mean accuracy"),
        ({"optimizer": "adm"}, "optimizer: adm is unknown; did you mean "),
        ({"optimizer": {"Adam": {"lr": 0.1}}}, "optimizer.lr: Adam has no such argument"),
        ({"optimizer": {"Adam": {"learning_rate": -1}}}, "optimizer.learning_rate: -1.0 is not a"),
        ({"callbacks": ["EarlyStoping"]}, "callbacks[0]: EarlyStoping is not a known callback"),
        (
            {"callbacks": [{"EarlyStopping": {"patience": -1}}]},
            "callbacks[0].EarlyStopping.patience: -1 is not an integer of 0 or more",
        ),
        (
            {"callbacks": [{"ReduceLROnPlateau": {"factor": 2}}]},
            "callbacks[0].ReduceLROnPlateau.factor: 2.0 is not a number between 0 and 1",
        ),
        (
            {"callbacks": [{"EarlyStopping": {"paitence": 1}}]},
            "callbacks[0].EarlyStopping.paitence: EarlyStopping has no such argument; did you mean",
        ),
        ({"evaluators": ["score"]}, "evaluators[0]: 'score' is not of the form module:function"),
        ({"epoch": 3}, "epoch: no such argument; did you mean epochs"),
        ({"n_trials": 3}, "n_trials: belongs to a sweep; it is called trials there"),
        ({"param_grid": {}}, "param_grid: belongs to a sweep; a search space replaces the"),
        ({"seed": ff.choice([1, 2])}, "seed: a search space belongs in a sweep"),
        ({"loss_weights": object()}, "loss_weights: "),
        ({"model": 3}, "model: an int is not a model"),
        ({"model": lambda: 3}, "model: a lambda has no name to find it by; write it as a func"),
        ({"model": "nonsense"}, "model: 'nonsense' is neither JSON"),
        ({"model": "m.weights.h5"}, "model: 'm.weights.h5' holds weights alone; give the model,"),
        ({"model": "m.onnx"}, "model: 'm.onnx' is a model of another format; make it with Keras"),
        ({"model": "missing.json"}, "model: missing.json cannot be read"),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
def test_a_bad_value_is_refused_with_its_place(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"experiment": ""}, "experiment: '' is not a name"),
        ({"experiment": "x" * 200}, "experiment: "),
        ({"timeout_s": 0}, "timeout_s: 0 is not a positive number of seconds"),
        ({"priority": "high"}, "priority: 'high' is not an integer"),
        ({"fuse": "never"}, "fuse: 'never' is not one of"),
        ({"params": [1]}, "params: [1] is not a mapping"),
        ({"params": {"a": ["\x1b]0;x\x07"]}}, r"params: '\x1b]0;x\x07' contains a character"),
        ({"params": {"\x1b[31m": 1}}, r"params: '\x1b[31m' contains a character"),
        ({"params": {"rate": [float("inf")]}}, "params: has a NaN or infinite number"),
        ({"priorty": 1}, "priorty: no such argument; did you mean priority"),
    ],
)
def test_a_bad_option_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        job_options(SETTINGS, **given)
    assert str(caught.value).startswith(message)


def test_options_have_defaults() -> None:
    assert job_options(SETTINGS) == JobOptions()


def test_a_dataset_is_a_path_a_mapping_or_a_declaration(tmp_path: Any) -> None:
    assert spec(dataset=tmp_path / "a.npz").dataset.path == str(tmp_path / "a.npz")
    declared = ff.Dataset("a.npz", x="images", y="labels", windows={"length": 3})
    assert spec(dataset=declared).dataset == declared
    assert spec(dataset={"path": "a.npz", "x": "images"}).dataset.x == "images"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x_vall": "a"}, "dataset.x_vall: no such field; did you mean x_val"),
        ({"windows": {"length": 0}}, "dataset.windows.length: 0 is not a positive integer"),
        (
            {"windows": {"lenght": 3}},
            "dataset.windows.lenght: no such field; did you mean length",
        ),
        ({"nan": "maybe"}, "dataset.nan: "),
        ({"x": 3}, "dataset.x: 3 is not the name of an array"),
    ],
)
def test_a_bad_dataset_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        ff.Dataset("a.h5", **given)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_ten_thousand_specs_of_one_model_take_seconds() -> None:
    start = time.process_time()
    for seed in range(1000):
        spec(seed=seed, optimizer={"Adam": {"learning_rate": 0.001 + seed * 1e-6}})
    assert (time.process_time() - start) * 10 < 20  # a guard; benchmarks/overhead.py measures


def test_every_argument_of_keras_is_taken_or_answered_with_the_way_that_works() -> None:
    import keras

    ours = {
        *JobSpec.model_fields,
        "validation_data",
        "sample_weight",
    }  # the two by `dataset=(x, y)`
    for method in (keras.Model.fit, keras.Model.compile):
        for name in set(inspect.signature(method).parameters) - ours - {"self"}:
            with pytest.raises(SpecError, match=rf"^{name}: no such argument here: "):
                spec(**{name: 1})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "a.h5", "x": np.zeros((2, 2))}, "dataset.x: is an array, not the name of one"),
        ({"path": "a.h5", "y": [1, 2]}, r"dataset.y: \[1, 2\] is not the name of an array"),
        (print, r"dataset: the builtin_function_or_method is neither a path nor a mapping"),
    ],
)
def test_a_dataset_of_another_kind_is_answered_on_one_line(given: Any, says: str) -> None:
    with pytest.raises(DatasetError, match=says) as caught:
        dataset_spec(given)
    assert "\n" not in str(caught.value)


def test_a_dataset_may_be_a_function_by_its_name() -> None:
    function = dataset_spec(_batches).function
    assert function is not None and function.path == f"{__name__}:_batches"
    assert dataset_spec(f"{__name__}:_batches").function == function
    assert dataset_spec("data.h5").function is None


@pytest.mark.parametrize(
    "layer",
    [
        ff.layers.Dense(3, kernel_regularizer="l2"),
        ff.layers.Dense(3, activity_regularizer="l1"),
        ff.layers.ActivityRegularization(l2=0.1),
    ],
)
def test_a_model_that_adds_a_loss_needs_no_other(layer: Any) -> None:
    assert spec(loss=None, model=ff.Sequential([ff.layers.Input((4,)), layer])).loss is None
