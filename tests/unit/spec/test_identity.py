"""Equal jobs have equal hashes, however they are written; others do not."""

from typing import Any

import keras
import numpy as np
import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.identity import content_hash, fuse_key, group_hash
from fitfleet.spec.job import Builder, JobOptions, JobSpec, ModelSpec
from fitfleet.spec.submission import job_spec

SETTINGS = Settings()
OPTIONS = JobOptions()
BUILT = ModelSpec(builder=Builder(path="elsewhere:build"))  # on the worker


def short_form(units: int = 4, rate: float = 0.25) -> Any:
    layers = ff.layers
    return ff.Sequential(
        [
            layers.Input((8, 8)),
            layers.LSTM(units, return_sequences=True),
            layers.Bidirectional(layers.GRU(3)),
            layers.Dropout(rate),
            layers.Dense(10, "softmax", kernel_regularizer="l2"),
        ]
    )


def keras_form(units: int = 4) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8)),
            layers.LSTM(units, return_sequences=True),
            layers.Bidirectional(layers.GRU(3)),
            layers.Dropout(0.25),
            layers.Dense(10, "softmax", kernel_regularizer="l2"),
        ]
    )


def spec(**given: Any) -> JobSpec:
    values = {"model": short_form(), "dataset": "d.h5", "loss": "mse", "optimizer": "adam"}
    return job_spec(SETTINGS, **{**values, **given})


def test_the_hash_does_not_change_between_releases() -> None:
    model = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(3)])
    job = spec(model=model, metrics=["accuracy"], seed=7)
    assert content_hash(job, "abc") == LITERAL


LITERAL = "0c9b90dde78c49c664d2aefdd119381024972f376a330ce5dc13b5d11e292b4b"


@pytest.mark.parametrize(
    "left, right",
    [
        ({"optimizer": "adam"}, {"optimizer": "Adam"}),
        ({"optimizer": "adam"}, {"optimizer": {"class_name": "Adam"}}),
        ({"optimizer": "adam"}, {"optimizer": {"Adam": {"learning_rate": 0.001}}}),
        ({"optimizer": "adam"}, {"optimizer": {"Adam": {"beta_1": 0.9}}}),
        ({"optimizer": "adam"}, {"optimizer": keras.optimizers.Adam()}),
        ({"optimizer": {"SGD": {"learning_rate": 0.1}}}, {"optimizer": keras.optimizers.SGD(0.1)}),
        ({"loss": "mse"}, {"loss": "mean_squared_error"}),
        ({"loss": "mse"}, {"loss": "MSE"}),
        ({"loss": "mse"}, {"loss": keras.losses.mean_squared_error}),
        ({"loss": "mse"}, {"loss": keras.losses.MeanSquaredError()}),
        ({"loss": "mse"}, {"loss": {"MeanSquaredError": {}}}),
        ({"metrics": [{"AUC": {}}]}, {"metrics": [keras.metrics.AUC(name="auc")]}),
        (
            {"callbacks": [{"EarlyStopping": {"patience": 2}}]},
            {"callbacks": [keras.callbacks.EarlyStopping(patience=2)]},
        ),
        (
            {"callbacks": {"ReduceLROnPlateau": {}}},
            {"callbacks": [{"class_name": "ReduceLROnPlateau", "config": {"factor": 0.1}}]},
        ),
        ({"model": short_form()}, {"model": keras_form()}),
        ({"model": keras_form()}, {"model": keras_form()}),
        ({"model": short_form()}, {"model": keras_form().to_json()}),
        ({"class_weight": {0: 1, 1: 2}}, {"class_weight": {"0": 1.0, "1": 2.0}}),
        ({"class_weight": {0: 0.0, 1: 2}}, {"class_weight": {0: -0.0, 1: 2}}),
        ({}, {"class_weight": {}}),
        ({}, {"validation_split": -0.0}),
        ({}, {"gradient_accumulation_steps": 1}),
        ({"batch_size": 8}, {"batch_size": 8, "validation_batch_size": 8}),
        ({}, {"validation_freq": 1}),
        ({"validation_freq": [2]}, {"validation_freq": (2,)}),
        ({}, {"dtype_policy": "float32"}),
        ({"model": BUILT}, {"model": BUILT, "dtype_policy": "float32"}),
        ({}, {"metrics": [], "weighted_metrics": []}),
    ],
)
def test_two_ways_of_saying_one_thing(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert content_hash(spec(**left), None) == content_hash(spec(**right), None)


def test_a_schedule_is_the_same_in_every_form() -> None:
    arguments = {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}
    forms = [
        {"Adam": {"learning_rate": {"ExponentialDecay": arguments}}},
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(**arguments)),
    ]
    assert len({content_hash(spec(optimizer=form), None) for form in forms}) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"epochs": 2},
        {"optimizer": {"Adam": {"learning_rate": 0.01}}},
        {"model": short_form(5)},
        {"dataset": "e.h5"},
        {"loss": "mae"},
        {"metrics": ["mse"]},
        {"loss": {"CosineSimilarity": {"axis": 1}}},
        {"validation_batch_size": 16},
        {"validation_steps": 3},
        {"validation_freq": 2},
        {"validation_freq": [1]},
        {"steps_per_epoch": 3},
        {"epochs": 2, "initial_epoch": 1},
        {"gradient_accumulation_steps": 2},
        {"dtype_policy": "float64"},
    ],
)
def test_another_job_has_another_hash(change: dict[str, Any]) -> None:
    assert content_hash(spec(), None) != content_hash(spec(**change), None)


def test_the_file_counts_by_its_content() -> None:
    here, elsewhere = spec(), spec(dataset="elsewhere/d.h5")
    assert content_hash(here, "abc") == content_hash(elsewhere, "abc")
    assert content_hash(here, "abc") != content_hash(here, "abd")


def test_a_group_is_its_seeds_and_folds() -> None:
    folds = [
        spec(seed=seed, dataset={"path": "d.h5", "fold": {"kind": "kfold", "k": 5, "index": i}})
        for i, seed in enumerate((0, 0, 1))
    ]
    assert len({group_hash(part, "abc") for part in folds}) == 1
    assert len({content_hash(part, "abc") for part in folds}) == 3
    assert group_hash(spec(), "abc") != group_hash(spec(epochs=2), "abc")


def test_jobs_of_one_program_differ_in_seed_and_rates() -> None:
    given = [
        {
            "seed": seed,
            "model": short_form(rate=rate),
            "optimizer": {"Adam": {"learning_rate": rate}},
        }
        for seed in (0, 1)
        for rate in (0.1, 0.2)
    ]
    given[0]["callbacks"] = [{"EarlyStopping": {"patience": 3}}]
    keys = {fuse_key(spec(**job), "abc", OPTIONS) for job in given}
    assert len(keys) == 1 and None not in keys
    changes = ({"model": short_form(5)}, {"model": short_form(rate=0.0)})
    for change in (*changes, {"batch_size": 8}, {"optimizer": "sgd"}):
        assert fuse_key(spec(**change), "abc", OPTIONS) not in keys
    assert fuse_key(spec(), "abd", OPTIONS) not in keys
    assert fuse_key(spec(), "abc", JobOptions(fuse=False)) not in {None, *keys}


def test_a_stateful_model_is_trained_alone() -> None:
    layers = ff.layers
    model = ff.Sequential([layers.Input(batch_shape=(4, 3, 2)), layers.LSTM(2, stateful=True)])
    assert fuse_key(spec(model=model), "abc", OPTIONS) is None
    assert fuse_key(spec(), None, OPTIONS) is None


def test_a_function_is_one_dataset_where_its_code_is_part_of_the_job() -> None:
    trusting = SETTINGS.replace(trusted_modules=("mine",))
    given = {"model": short_form(), "loss": "mse", "optimizer": "adam"}
    function = {"function": "mine:rows", "arguments": {"rows": 4}}
    job = job_spec(trusting, dataset=function, **given)
    assert fuse_key(job, None, OPTIONS) is None, "the module may be another one by now"
    key = fuse_key(job.model_copy(update={"code": "a" * 64, "seed": 5}), None, OPTIONS)
    assert key == fuse_key(job.model_copy(update={"code": "a" * 64}), None, OPTIONS) is not None
    other = job_spec(trusting, dataset={**function, "arguments": {"rows": 5}}, **given)
    for changed in (
        job.model_copy(update={"code": "b" * 64}),
        other.model_copy(update={"code": "a" * 64}),
    ):
        assert fuse_key(changed, None, OPTIONS) not in (None, key)


def dense(**arguments: Any) -> ff.Sequential:
    layers = ff.layers
    return ff.Sequential([layers.Input((4,)), layers.Dense(2, **arguments), layers.Dense(1)])


def noise(stddev: float) -> ff.Sequential:
    layers = ff.layers
    return ff.Sequential([layers.Input((4,)), layers.GaussianNoise(stddev), layers.Dense(1)])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (
            {"optimizer": {"SGD": {"learning_rate": 1}}},
            {"optimizer": {"SGD": {"learning_rate": 1.0}}},
        ),
        ({"optimizer": {"SGD": {"learning_rate": 0.01}}}, {"optimizer": "sgd"}),
        ({"optimizer": {"SGD": {"momentum": -0.0}}}, {"optimizer": "sgd"}),
        ({"optimizer": {"SGD": {"clipnorm": 1}}}, {"optimizer": {"SGD": {"clipnorm": 1.0}}}),
        (
            {
                "optimizer": {
                    "SGD": {
                        "learning_rate": {
                            "ExponentialDecay": {
                                "initial_learning_rate": 1,
                                "decay_steps": 3,
                                "decay_rate": 1,
                            }
                        }
                    }
                }
            },
            {
                "optimizer": {
                    "SGD": {
                        "learning_rate": {
                            "ExponentialDecay": {
                                "initial_learning_rate": 1.0,
                                "decay_steps": 3.0,
                                "decay_rate": 1.0,
                            }
                        }
                    }
                }
            },
        ),
        (
            {"model": dense(kernel_regularizer={"L2": {"l2": 1}})},
            {"model": dense(kernel_regularizer={"L2": {"l2": 1.0}})},
        ),
        (
            {"model": dense(kernel_initializer={"RandomNormal": {"stddev": 1}})},
            {"model": dense(kernel_initializer={"RandomNormal": {"stddev": 1.0}})},
        ),
        ({"model": noise(0.0)}, {"model": noise(-0.0)}),
        ({"model": noise(1)}, {"model": noise(1.0)}),
        ({"loss_weights": [1]}, {"loss_weights": [1.0]}),
        ({"loss_weights": {"a": -0.0}}, {"loss_weights": {"a": 0}}),
        ({"jit_compile": False}, {"jit_compile": 0}),
        ({"validation_split": 0}, {}),
        ({"class_weight": {"00": 1}}, {"class_weight": {0: 1.0}}),
        ({"callbacks": [{"EarlyStopping": {"min_delta": 0.0}}]}, {"callbacks": ["EarlyStopping"]}),
        (
            {"callbacks": [{"EarlyStopping": {"baseline": 1}}]},
            {"callbacks": [{"EarlyStopping": {"baseline": 1.0}}]},
        ),
    ],
)
def test_two_ways_to_write_a_job_are_one_job(left: dict[str, Any], right: dict[str, Any]) -> None:
    given = {"model": dense(), "dataset": "x.npz", "loss": "mse", "optimizer": "sgd"}
    texts = [job_spec(Settings(), **{**given, **part}).canonical() for part in (left, right)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "change",
    [
        {"loss": ["mse"]},
        {"loss": {"head": "mse"}},
        {"loss_weights": 1},
        {"loss_weights": [1.0]},
        {"loss_weights": {"head": 1.0}},
        {"metrics": [["mae"]]},
        {"metrics": {"head": ["mae"]}},
        {"metrics": {"head": "mae"}},
        {"weighted_metrics": [[]]},
    ],
)
@pytest.mark.parametrize("form", ["a chain", "a graph", "a graph with a list"])
def test_a_model_of_one_output_takes_its_loss_in_any_form(
    form: str, change: dict[str, Any]
) -> None:
    """Keras gives them the same history, by the same names."""
    layers, source = keras.layers, keras.Input((4,))
    head = layers.Dense(1, name="head")
    outputs = head(source)
    model = {
        "a chain": keras.Sequential([source, head]),
        "a graph": keras.Model(source, outputs),
        "a graph with a list": keras.Model(source, [outputs]),
    }[form]
    given = {"model": model, "loss": "mse", "metrics": ["mae"]}
    assert content_hash(spec(**given), "abc") == content_hash(spec(**{**given, **change}), "abc")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"loss_weights": 1.0}, {}),
        ({"loss": ["mse", "mae"], "loss_weights": [1, 1]}, {"loss": ["mse", "mae"]}),
        ({"metrics": [["mae"], None]}, {"metrics": [["mae"], []]}),
        ({"metrics": [["mae"], "mse"]}, {"metrics": [["mae"], ["mse"]]}),
        ({"metrics": {"a": "mae", "b": None}}, {"metrics": {"a": ["mae"]}}),
        ({"metrics": [["mae"], "mse"]}, {"metrics": {"b": "mse", "a": "mae"}}),
        ({"metrics": ["mae", None]}, {"metrics": {"a": ["mae"]}}),
        ({"weighted_metrics": [[], None]}, {}),
        ({"weighted_metrics": {}}, {}),
        ({"loss": {"b": "mae", "a": "mse"}}, {"loss": ["mse", "mae"]}),
        ({"loss": {"b": None, "a": "mse"}}, {"loss": ["mse", None]}),
        ({"loss": ["mse", "mse"]}, {"loss": "mse"}),
        ({"loss": {"a": "mse", "b": "mean_squared_error"}}, {"loss": "mse"}),
        (
            {"loss": {"b": "mae", "a": "mse"}, "loss_weights": {"b": 2, "a": 0.5}},
            {"loss": ["mse", "mae"], "loss_weights": [0.5, 2]},
        ),
        (
            {"loss": ["mse", "mae"], "loss_weights": {"b": 2, "a": 0.5}},
            {"loss": ["mse", "mae"], "loss_weights": [0.5, 2]},
        ),
    ],
)
def test_models_of_two_outputs_take_them_in_several_forms(
    left: dict[str, Any], right: dict[str, Any]
) -> None:
    source = keras.Input((4,))
    ends = [keras.layers.Dense(1, name=name)(source) for name in "ab"]
    model = keras.Model(source, ends)
    texts = [spec(model=model, **part).canonical() for part in (left, right)]
    assert texts[0] == texts[1]
    assert spec(model=model, loss_weights=2.0).loss_weights == 2.0


def two_heads(outputs: Any = list) -> Any:
    """Outputs `b` and `a`, in that order."""
    source = keras.Input((4,))
    ends = {name: keras.layers.Dense(1, name=name)(source) for name in "ba"}
    return keras.Model(source, ends if outputs is dict else list(ends.values()))


def trained(**given: Any) -> dict[str, list[float]]:
    keras.utils.set_random_seed(0)
    model = two_heads()
    model.compile("sgd", **given)
    x = np.arange(24, dtype="float32").reshape(6, 4) / 24
    weights: Any = None
    if "weighted_metrics" in given:
        weights = [x[:, 1], x[:, 2]]
    history = model.fit(x, [x[:, :1], 2 * x[:, :1]], sample_weight=weights, verbose=0)
    return {**history.history, "weights": [w.tolist() for w in model.get_weights()]}


@pytest.mark.parametrize(
    "several",
    [
        [{"loss": "mse"}, {"loss": ["mse", "mse"]}, {"loss": {"a": "mse", "b": "mse"}}],
        [
            {"loss": ["mse", "mae"], "loss_weights": [2.0, 0.3]},
            {"loss": {"a": "mae", "b": "mse"}, "loss_weights": {"a": 0.3, "b": 2.0}},
        ],
        [
            {"loss": "mse", "metrics": ["mae", "mse"], "weighted_metrics": [None, ["mae"]]},
            {"loss": "mse", "metrics": {"a": "mse", "b": "mae"}, "weighted_metrics": {"a": "mae"}},
        ],
    ],
)
def test_forms_that_are_one_job_are_one_fit_of_keras(several: list[dict[str, Any]]) -> None:
    first, *others = (trained(**given) for given in several)
    assert all(other == first for other in others)
    specs = [spec(model=two_heads(), **given) for given in several]
    assert len({content_hash(one, "abc") for one in specs}) == 1


def test_forms_that_keras_pairs_otherwise_stay_apart() -> None:
    lists = {"loss": ["mse", "mae"], "loss_weights": [2.0, 0.3]}
    mixed = {"loss": ["mse", "mae"], "loss_weights": {"b": 2.0, "a": 0.3}}
    assert trained(**lists) != trained(**mixed)  # it is refused: test_consistency.py
    assert spec(model=two_heads(), **mixed).loss_weights == mixed["loss_weights"]
    by_name = {"loss": {"a": "mae", "b": "mse"}}
    assert spec(model=two_heads(dict), **by_name).loss == spec(**by_name).loss


@pytest.mark.parametrize(
    "classes", [{"0": 1.0, "00": 2.0}, {"\u0660": 1.0}, {"9" * 5000: 1.0}, {True: 1.0}]
)
def test_a_class_is_named_once_by_its_number(classes: dict[Any, float]) -> None:
    given = {"model": dense(), "dataset": "x.npz", "loss": "mse", "class_weight": classes}
    with pytest.raises(SpecError) as caught:
        job_spec(Settings(), **given)
    assert len(str(caught.value)) < 200
