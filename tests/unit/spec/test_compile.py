"""Whatever is allowed in `compile` can be built by Keras from its canonical form."""

from typing import Any

import keras
import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.metric_directions import CLASSES
from fitfleet.spec.parts.callbacks import callbacks
from fitfleet.spec.parts.compile import losses, metrics, optimizer
from fitfleet.spec.parts.model import model_document
from fitfleet.spec.submission import job_spec

load = keras.saving.deserialize_keras_object
REQUIRED = {
    "recall": 0.5,
    "precision": 0.5,
    "sensitivity": 0.5,
    "specificity": 0.5,
    "num_classes": 3,
    "target_class_ids": [0],
}


@pytest.mark.parametrize("name", catalog.class_names("optimizers"))
def test_every_optimizer_is_built_with_its_learning_rate(name: str) -> None:
    forms: list[Any] = [name, name.lower(), {name: {}}, {"class_name": name, "config": {}}]
    for given in forms:
        built = load(optimizer(given))
        assert type(built).__name__ == name
    changed = load(optimizer({name: {"learning_rate": 0.125}}))
    assert float(changed.learning_rate) == 0.125
    assert optimizer(changed) == optimizer({name: {"learning_rate": 0.125}})


@pytest.mark.parametrize("name", catalog.class_names("losses"))
def test_every_loss_is_built(name: str) -> None:
    canonical = losses({name: {}})
    assert (
        load(canonical) if isinstance(canonical, dict) else keras.losses.get(canonical)
    ) is not None
    assert losses(getattr(keras.losses, name)()) == canonical


@pytest.mark.parametrize("name", catalog.class_names("metrics"))
def test_every_metric_is_built(name: str) -> None:
    signature = catalog.signature("metrics", name)
    assert signature is not None
    arguments = {argument: REQUIRED[argument] for argument in signature.required}
    (canonical,) = metrics([{name: arguments}])
    built = load(canonical)
    assert type(built).__name__ == name
    assert metrics([getattr(keras.metrics, name)(**arguments)]) == [canonical]


@pytest.mark.parametrize(
    "given",
    [
        "accuracy",
        "acc",
        "mse",
        "mae",
        "mape",
        "cosine_similarity",
        "binary_accuracy",
        "AUC",
        "top_k_categorical_accuracy",
        "sparse_top_k_categorical_accuracy",
        "RootMeanSquaredError",
    ],
)
def test_a_metric_keeps_the_name_it_has_in_the_history(given: str) -> None:
    assert metrics(given) == [given]


@pytest.mark.parametrize(
    ("kind", "given", "argument"),
    [
        ("losses", {"CosineSimilarity": {"axis": 1}}, "axis"),
        ("losses", {"Huber": {"delta": 3.0}}, "delta"),
        ("losses", {"SparseCategoricalCrossentropy": {"axis": 1}}, "axis"),
        ("metrics", {"CosineSimilarity": {"axis": 1}}, "axis"),
    ],
)
def test_what_keras_forgets_when_it_saves_reaches_the_worker(
    kind: str, given: dict[str, Any], argument: str
) -> None:
    ((name, arguments),) = given.items()
    make = losses if kind == "losses" else metrics
    for value in (given, getattr(getattr(keras, kind), name)(**arguments)):
        canonical = make(value) if kind == "losses" else make([value])[0]
        assert load(canonical)._fn_kwargs[argument] == arguments[argument]


@pytest.mark.parametrize("told", [{"var_names": ["bias"]}, {"var_list": [keras.Variable(1.0)]}])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_variables_that_are_not_to_decay_are_refused(told: Any, is_scaled: bool) -> None:
    """A worker's optimizer, made from the config, would decay them."""
    plain = keras.optimizers.AdamW(0.1, weight_decay=0.2)
    plain.exclude_from_weight_decay(**told)
    given = keras.optimizers.LossScaleOptimizer(plain) if is_scaled else plain
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(given, "mse")
    for make in (lambda: optimizer(given), lambda: model_document(model)):
        with pytest.raises(SpecError, match=r"exclude_from_weight_decay\(\) is no part"):
            make()


@pytest.mark.parametrize("name", catalog.class_names("schedules"))
def test_every_schedule_is_a_learning_rate(name: str) -> None:
    arguments: dict[str, dict[str, Any]] = {
        "ExponentialDecay": {"decay_steps": 5, "decay_rate": 0.5},
        "InverseTimeDecay": {"decay_steps": 5, "decay_rate": 0.5},
        "CosineDecay": {"decay_steps": 5},
        "PolynomialDecay": {"decay_steps": 5},
        "CosineDecayRestarts": {"first_decay_steps": 5},
    }
    given = {"initial_learning_rate": 0.5, **arguments.get(name, {})}
    if name == "PiecewiseConstantDecay":
        given = {"boundaries": [1, 2], "values": [0.5, 0.25, 0.125]}
    canonical = optimizer({"Adam": {"learning_rate": {name: given}}})
    assert type(load(canonical)._learning_rate).__name__ == name
    assert callbacks({"LearningRateScheduler": {"schedule": {name: given}}})


def test_metrics_that_keras_would_count_have_names_of_a_fresh_process() -> None:
    given = [
        keras.metrics.Recall(),
        {"Recall": {"thresholds": 0.25}},
        keras.metrics.Recall(name="r"),
    ]
    assert [part["config"]["name"] for part in metrics(given)] == ["recall", "recall_1", "r"]


def test_losses_and_metrics_of_several_outputs() -> None:
    assert losses({"a": "mse", "b": {"Huber": {}}}) == {"a": "mean_squared_error", "b": "huber"}
    assert losses(["mse", None]) == ["mean_squared_error", None]
    assert metrics({"a": ["mse"], "b": [{"AUC": {}}]}) == {
        "a": ["mse"],
        "b": [{"module": "keras.metrics", "class_name": "AUC", "config": {"name": "auc"}}],
    }


@pytest.mark.parametrize(
    "given",
    [
        "TerminateOnNaN",
        {"EarlyStopping": {"patience": 2, "restore_best_weights": True}},
        {"class_name": "ReduceLROnPlateau", "config": {"patience": 1}},
        keras.callbacks.EarlyStopping(monitor="loss", mode="min"),
        keras.callbacks.ReduceLROnPlateau(factor=0.5),
        keras.callbacks.LearningRateScheduler(keras.optimizers.schedules.CosineDecay(0.5, 10)),
    ],
    ids=lambda given: str(given)[:30],
)
def test_an_allowed_callback_is_built(given: Any) -> None:
    (canonical,) = callbacks(given)
    config = {k: load(v) if isinstance(v, dict) else v for k, v in canonical["config"].items()}
    built = getattr(keras.callbacks, canonical["class_name"])(**config)
    assert callbacks([built]) == [canonical]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"RemoteMonitor": {"root": "http://x"}}, "RemoteMonitor .* it sends data to a URL"),
        (keras.callbacks.RemoteMonitor(), "RemoteMonitor .* it sends data to a URL"),
        (keras.callbacks.LambdaCallback(), "LambdaCallback .* write a subclass of"),
        (keras.callbacks.LearningRateScheduler(lambda e: 0.1), "a lambda has no name"),
        ({"LearningRateScheduler": {"schedule": "x"}}, "neither a function"),
        (3, "callbacks must be one of CSVLogger, .*; int is none"),
        ({"EarlyStopping": {}, "TerminateOnNaN": {}}, "is not a callback"),
        ({"EarlyStopping": {"mode": "maximum"}}, "not one of auto, min, max"),
    ],
    ids=lambda given: str(given)[:30],
)
def test_another_callback_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        callbacks([given])


def test_a_function_inside_another_is_refused_with_the_remedy() -> None:
    def nearness(y_true: Any, y_pred: Any) -> Any:
        return y_true - y_pred

    model = ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(3)])
    with pytest.raises(SpecError, match=r"metrics\[0\].*define it at the top"):
        job_spec(Settings(), model=model, dataset="d", loss="mse", metrics=[nearness])


def test_the_direction_of_every_metric_is_that_of_keras() -> None:
    assert set(CLASSES) == set(catalog.class_names("metrics"))
    said = {"up": "maximize", "down": "minimize"}
    for name, direction in CLASSES.items():
        given = {k: REQUIRED[k] for k in catalog.signature("metrics", name).required}  # type: ignore[union-attr]
        metric = getattr(keras.metrics, name)(**given)
        assert said.get(getattr(metric, "_direction", None), direction) == direction, name


DECAY = {"initial_learning_rate": 0.1, "decay_rate": 0.5}


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (losses, {"Huber": {"delta": "a"}}, "loss.delta: 'a' is not a number"),
        (losses, {"MeanSquaredError": {"reduction": "su"}}, "loss.reduction: 'su' is not one of "),
        (
            losses,
            {"BinaryCrossentropy": {"label_smoothing": 2}},
            "loss.label_smoothing: 2 is not a number from 0 to 1",
        ),
        (
            losses,
            {"BinaryCrossentropy": {"from_logits": "yes"}},
            "loss.from_logits: 'yes' is neither true nor false",
        ),
        (metrics, [{"TopKCategoricalAccuracy": {"k": 0}}], "metrics[0].k: 0 is not a positive"),
        (metrics, [{"AUC": {"curve": "ROK"}}], "metrics[0].curve: 'ROK' is not one of ROC, PR"),
        (optimizer, {"SGD": {"nesterov": ["x"]}}, "optimizer.nesterov: ['x'] is neither true nor"),
        (optimizer, {"SGD": {"weight_decay": {"a": [1]}}}, "optimizer.weight_decay: {'a': [1]} is"),
        (
            optimizer,
            {"SGD": {"learning_rate": -0.1}},
            "optimizer.learning_rate: -0.1 is not a numbe",
        ),
        (optimizer, {"SGD": {"loss_scale_factor": -5}}, "optimizer.loss_scale_factor: -5.0 is not"),
        (
            optimizer,
            {"SGD": {"ema_overwrite_frequency": "y"}},
            "optimizer.ema_overwrite_frequency: 'y' is not a positive integer",
        ),
        (
            optimizer,
            {"SGD": {"learning_rate": {"ExponentialDecay": {**DECAY, "decay_steps": 0}}}},
            "optimizer.learning_rate.decay_steps: 0 is not a positive number",
        ),
        (
            optimizer,
            {
                "SGD": {
                    "learning_rate": {"PiecewiseConstantDecay": dict(boundaries=[1], values=[2])}
                }
            },
            "optimizer.learning_rate.values: there is one more of them than of boundaries",
        ),
    ],
)
def test_arguments_of_another_kind_are_refused(make: Any, given: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        make(given)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "given",
    [
        {"Adafactor": {"beta_2_decay": -0.7}},
        {"Adam": {"learning_rate": 0.0}},
        {"Ftrl": {"beta": 3.0}},
        {"Muon": {"exclude_layers": ["head"]}},
        {"AdamW": {"weight_decay": ff.choice([0.1, 0.2]).to_space()}},
    ],
)
def test_what_an_optimizer_of_keras_takes_passes(given: dict[str, Any]) -> None:
    ((name, config),) = given.items()
    assert (
        optimizer(given)["class_name"] == name
        and config.items() <= optimizer(given)["config"].items()
    )


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (optimizer, keras.optimizers.Adam, "optimizer: Adam is a class; give an object of it, Ada"),
        (losses, keras.losses.MeanSquaredError, "loss: MeanSquaredError is a class"),
        (metrics, [keras.metrics.AUC], "metrics[0]: AUC is a class"),
        (callbacks, [keras.callbacks.EarlyStopping], "callbacks[0]: EarlyStopping is a class"),
    ],
)
def test_a_class_in_place_of_an_object_is_refused(make: Any, given: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        make(given)
    assert str(caught.value).startswith(message)
