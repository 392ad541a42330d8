"""What is wrong between the parts of a job is said before it is queued."""

import json
from typing import Any

import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check
from fitfleet.spec.shape_rules.inputs import with_input
from fitfleet.spec.submission import job_spec

L = ff.layers
SETTINGS = Settings()


def checked(**given: Any) -> Any:
    given = {"dataset": "x.npz", "loss": "mse", "optimizer": "adam", **given}
    spec = job_spec(SETTINGS, **{"model": stack(L.Dense(1)), **given})
    return check(spec, SETTINGS)


def stack(*layers: Any, shape: tuple[Any, ...] = (4,)) -> Any:
    return ff.Sequential([L.Input(shape), *layers])


def heads(kind: str = "a list", names: tuple[str, ...] = ("age", "sex")) -> dict[str, Any]:
    """A model of two outputs, a list or a dict of them."""
    shape = {"shape": [None, 4], "dtype": "float32", "keras_history": ["a", 0, 0]}
    node = {"args": [{"class_name": "__keras_tensor__", "config": shape}], "kwargs": {}}
    layer = {"module": "keras.layers", "class_name": "Dense", "inbound_nodes": [node]}
    start = {"module": "keras.layers", "class_name": "InputLayer", "name": "a"}
    config = {
        "name": "f",
        "layers": [
            {**start, "config": {"batch_shape": [None, 4], "name": "a"}, "inbound_nodes": []},
            *({**layer, "name": name, "config": {"units": 1, "name": name}} for name in names),
        ],
        "input_layers": [["a", 0, 0]],
        "output_layers": [[name, 0, 0] for name in names],
    }
    if kind == "a dict":
        config["output_layers"] = {name: [name, 0, 0] for name in names}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}


RATE = {
    "SGD": {
        "learning_rate": {
            "ExponentialDecay": dict(initial_learning_rate=0.1, decay_steps=3, decay_rate=0.5)
        }
    }
}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"model": heads(), "loss": {"age": "mse", "sexx": "mse"}},
            "loss.sexx: the model has no output of that name; did you mean sex?",
        ),
        (
            {"model": heads(), "metrics": {"aeg": "mae"}},
            "metrics.aeg: the model has no output of that name; did you mean age?",
        ),
        (
            {"model": heads(), "loss_weights": {"ages": 1}},
            "loss_weights.ages: the model has no output of that name",
        ),
        (
            {"model": heads(), "metrics": ["mae"]},
            "metrics: a list has one entry for each of the 2 outputs, this one has 1",
        ),
        (
            {"model": heads(), "loss": {"age": "mse"}},
            "loss: has no entry for the output 'sex'; give it a loss, or None if it is to be",
        ),
        (
            {"model": heads(), "loss": ["mse", "mse", "mse"]},
            "loss: a list has one entry for each of the 2 outputs, this one has 3",
        ),
        (
            {"model": heads(), "loss": "mse", "loss_weights": [1, 2]},
            "loss_weights: 2 for 1 losses; give each output a loss and a weight",
        ),
        (
            {"model": heads(), "loss": ["mse", "mse"], "loss_weights": 2.0},
            "loss_weights: 1 for 2 losses",
        ),
        (
            {
                "model": heads(),
                "loss": {"age": "mse", "sex": "mse"},
                "loss_weights": {"sex": 2},
            },
            "loss_weights: 1 for 2 losses",
        ),
        (
            {
                "model": heads(names=("sex", "age")),
                "loss": ["mse", "mae"],
                "loss_weights": {"sex": 1, "age": 2},
            },
            "loss_weights: Keras gives weights by name to a list of losses in the names' alphabet",
        ),
        *(
            (
                {"model": heads("a dict", names=("sex", "age")), **given},
                f"{next(reversed(given))}: it is a list, and the model gives its outputs as a dict",
            )
            for given in (
                {"loss": ["mse", "mae"]},
                {"loss": {"age": "mse", "sex": "mae"}, "loss_weights": [1, 2]},
                {"metrics": [["mae"], None]},
            )
        ),
        (
            {"optimizer": RATE, "callbacks": ["ReduceLROnPlateau"]},
            "callbacks[0].ReduceLROnPlateau: it sets the learning rate, and the optimizer's is",
        ),
        (
            {
                "metrics": ["accuracy"],
                "callbacks": [{"EarlyStopping": {"monitor": "val_acc", "mode": "max"}}],
            },
            "callbacks[0].EarlyStopping.monitor: the fit has no metric 'val_acc'; did you mean "
            "val_accuracy",
        ),
        (
            {"callbacks": [{"ReduceLROnPlateau": {"monitor": "val_los", "mode": "min"}}]},
            "callbacks[0].ReduceLROnPlateau.monitor: the fit has no metric 'val_los'; did you mean",
        ),
        (  # the name first: a mode would not help
            {"metrics": ["accuracy"], "callbacks": [{"EarlyStopping": {"monitor": "val_acc"}}]},
            "callbacks[0].EarlyStopping.monitor: the fit has no metric 'val_acc'; did you mean "
            "val_accuracy",
        ),
        (
            {
                "metrics": ["f1_score"],
                "callbacks": [{"EarlyStopping": {"monitor": "val_f1_score"}}],
            },
            "callbacks[0].EarlyStopping.monitor: 'val_f1_score' has several values, and Keras's",
        ),
        (
            {
                "metrics": [{"Precision": {"thresholds": [0.1, 0.5]}}],
                "callbacks": [{"EarlyStopping": {"monitor": "precision.1", "mode": "max"}}],
            },
            "callbacks[0].EarlyStopping.monitor: 'precision.1' has several values",
        ),
        (
            {"model": stack(L.LSTM(3), L.LSTM(2), shape=(5, 4))},
            "model.layers[2]: LSTM takes rows of (steps, features), not of (3); the recurrent",
        ),
        (
            {"model": stack(L.Conv2D(3, 2), shape=(28, 28))},
            "model.layers[1]: Conv2D takes rows of 3 dimensions, channels included, not of ",
        ),
        (
            {"model": stack(L.Conv2D(3, 9), shape=(8, 8, 1))},
            "model.layers[1]: Conv2D has an empty output for rows of (8, 8, 1); take a smaller",
        ),
        (
            {"model": stack(L.TimeDistributed(L.MaxPooling2D(9)), shape=(2, 8, 8, 1))},
            "model.layers[1]: TimeDistributed has an empty output for rows of (2, 8, 8, 1); take a",
        ),
        (
            {"model": stack(L.Cropping1D(4), shape=(8, 1))},
            "model.layers[1]: Cropping1D has an empty output for rows of (8, 1)",
        ),
        (
            {"model": stack(L.Reshape((3, 2)))},
            "model.layers[1]: Reshape of rows of (4), 4 values, to (3, 2), 6; both must have as",
        ),
        (
            {"model": stack(L.Dense(4), L.Add())},
            "model.layers[2]: Add needs several inputs, and a Sequential passes on one; give the",
        ),
        (
            {"model": stack(L.MultiHeadAttention(1, 2), shape=(3, 4))},
            "model.layers[1]: MultiHeadAttention needs several inputs",
        ),
        (
            {"model": stack(L.Bidirectional(L.Dense(4)), shape=(3, 4))},
            "model.layers[1].layer: Dense is not one of LSTM, GRU, SimpleRNN",
        ),
        (
            {"model": stack(L.RNN(L.Dense(4)), shape=(3, 4))},
            "model.layers[1].cell: Dense is not one of LSTMCell, GRUCell, SimpleRNNCell",
        ),
        (
            {"model": stack(L.TimeDistributed(L.Dense(4)))},
            "model.layers[1]: TimeDistributed takes rows of several steps, not of (4)",
        ),
    ],
)
def test_parts_that_contradict_each_other_are_refused(given: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        checked(**given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "given",
    [
        {
            "model": heads(),
            "loss": {"age": "mse", "sex": "mse"},
            "metrics": {"sex": ["mae", "mse"]},
        },
        {"model": heads(), "metrics": [["mae"], None]},
        {"model": heads(), "loss": {"age": "mse", "sex": None}},
        {"model": heads(), "loss": "mse", "loss_weights": 0.5},
        {"model": heads(), "loss": ["mse", "mae"], "loss_weights": {"age": 1, "sex": 2}},
        {"model": heads("a dict"), "loss": {"age": "mse"}},
        {"model": heads("a dict"), "loss": ["mse", "mae"], "metrics": ["mae", None]},
        {
            "model": heads(),
            "callbacks": [{"EarlyStopping": {"monitor": "val_age_loss", "mode": "min"}}],
        },
        {"metrics": ["mae"], "callbacks": [{"EarlyStopping": {"monitor": "mae"}}]},
        {
            "metrics": [{"AUC": {"name": "my auc"}}],
            "callbacks": [{"EarlyStopping": {"monitor": "val_my auc", "mode": "max"}}],
        },
        {
            "metrics": [{"F1Score": {"average": "macro"}}, {"AUC": {"thresholds": [0.1, 0.5]}}],
            "callbacks": [{"EarlyStopping": {"monitor": "f1_score"}}],
        },
        {"metrics": ["f1_score", {"Precision": {"thresholds": [0.1, 0.5]}}]},
        {  # a number of its own, whose name ends as that of several
            "metrics": ["f1_score", {"F1Score": {"average": "macro", "name": "macro_f1_score"}}],
            "callbacks": [{"EarlyStopping": {"monitor": "macro_f1_score", "mode": "max"}}],
        },
        {"model": stack(L.LSTM(3, return_sequences=True), L.LSTM(2), shape=(5, 4))},
        {"model": ff.Sequential([L.Conv2D(3, 9), L.Flatten(), L.Dense(1)])},
        {"model": stack(L.Conv2D(3, 9, padding="same"), shape=(8, 8, 1))},
        {"model": stack(L.Conv2D(3, 8), L.Reshape((-1, 1)), L.GRU(2), shape=(8, 8, 1))},
        {"model": stack(L.Bidirectional(L.ConvLSTM1D(3, 2)), shape=(5, 8, 1))},
        {"optimizer": RATE, "callbacks": ["EarlyStopping"]},
        {  # Keras's own dtype of a Hashing whose codes are integers
            "model": ff.Sequential(
                [
                    L.Input((2,), dtype="int64"),
                    L.Hashing(5, dtype="int64"),
                    L.Embedding(5, 2),
                ]
            )
        },
    ],
)
def test_parts_that_agree_pass(given: Any) -> None:
    assert checked(**given).parameters > 0


@pytest.mark.parametrize(
    ("monitor", "says"),
    [
        ("val_accuracy_loss", "give mode='min'"),
        ("val_accuracy_accuracy", "give mode='max'"),
        ("val_accuracy_hits", "give mode='max'"),
    ],
)
def test_a_mode_that_keras_cannot_tell_is_asked_for(monitor: str, says: str) -> None:
    stop = {"EarlyStopping": {"monitor": monitor}}
    given = {
        "model": json.loads(json.dumps(heads()).replace('"age"', '"accuracy"')),
        "metrics": {"accuracy": ["accuracy", {"TruePositives": {"name": "hits"}}]},
        "callbacks": [stop],
    }
    with pytest.raises(SpecError, match=rf"EarlyStopping.mode: Keras cannot .*{says}"):
        checked(**given)
    stop["EarlyStopping"]["mode"] = "min"
    assert checked(**given).parameters > 0


def test_a_sequential_without_an_input_takes_that_of_its_data() -> None:
    given = {"dataset": "x.npz", "loss": "mse", "optimizer": "adam"}
    bare = ff.Sequential([L.Dense(3), L.Dense(1)])
    config = job_spec(SETTINGS, model=bare, **given).model.config
    assert config is not None
    whole = job_spec(SETTINGS, model=ff.Sequential([L.Input((4,)), *bare.layers]), **given)
    assert with_input(config, (4,), "float32") == whole.model.config
    assert with_input(whole.model.config, (4,), "float32") is whole.model.config
    codes = with_input(config, (4,), "int64")["config"]["layers"][0]
    assert codes["config"]["dtype"] == "int64"
