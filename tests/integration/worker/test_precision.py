"""The dtype policy of a job: what it is made under, what it is told, what a layer has itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.submission import job_spec
from fitfleet.worker.models.build import build, precision

L = keras.layers


def _model() -> Any:
    """A layer in a wrapper, and an output that is float32 whatever the others are."""
    inputs = keras.Input((4, 2))
    hidden = L.Dense(3)(L.Bidirectional(L.LSTM(2))(inputs))
    return keras.Model(inputs, L.Activation("softmax", dtype="float32")(hidden))


@pytest.fixture
def half() -> Iterator[str]:
    """Keras's global policy, as a user sets it before making a model."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield "mixed_float16"
    keras.config.set_dtype_policy(before)


def _spec(model: Any, **given: Any) -> Any:
    return job_spec(Settings(), model=model, dataset="d.h5", loss="mse", optimizer="adam", **given)


def _built(spec: Any) -> Any:
    with precision(spec.dtype_policy):
        return build(spec, Settings(trusted_modules=("test_precision",)))


def _policies(model: Any) -> list[str]:
    wrapped = model.layers[1].forward_layer
    return [layer.dtype_policy.name for layer in (*model.layers[1:], wrapped)]


def test_an_object_made_under_half_precision_trains_under_it(half: str) -> None:
    """With the loss scaling that Keras's own compile adds."""
    model = _model()
    model.compile("adam", "mse")
    keras.config.set_dtype_policy("float32")
    built = _built(_spec(model))
    assert _policies(built) == _policies(model) == [half, half, "float32", half]
    assert type(built.optimizer) is type(model.optimizer) is keras.optimizers.LossScaleOptimizer


def test_a_policy_of_a_job_leaves_a_layers_own_dtype() -> None:
    told = ["mixed_bfloat16", "mixed_bfloat16", "float32", "mixed_bfloat16"]
    assert _policies(_built(_spec(_model(), dtype_policy="mixed_bfloat16"))) == told


def test_a_written_config_follows_the_policy_but_for_what_differs(half: str) -> None:
    document = keras.saving.serialize_keras_object(_model())
    keras.config.set_dtype_policy("float32")
    told = ["mixed_bfloat16", "mixed_bfloat16", "float32", "mixed_bfloat16"]
    assert _policies(_built(_spec(document, dtype_policy="mixed_bfloat16"))) == told


def test_float32_spelt_out_is_the_same_job() -> None:
    document = keras.saving.serialize_keras_object(_model())
    assert _spec(_model()).canonical() == _spec(document).canonical()


@keras.saving.register_keras_serializable("test_precision")
class OwnMean(keras.metrics.MeanMetricWrapper):
    """A metric of the user's, which Keras writes a dtype into as into its own."""

    def __init__(self, name: str = "own", dtype: Any = None) -> None:
        super().__init__(keras.losses.mean_absolute_error, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


def _objects(**given: Any) -> dict[str, Any]:
    """A loss and metrics, made under Keras's floatx or told a dtype."""
    metrics = keras.metrics
    return {
        "loss": keras.losses.Huber(delta=2.0, **given),
        "metrics": [metrics.RootMeanSquaredError(**given), OwnMean(**given), metrics.AUC(**given)],
    }


@pytest.mark.parametrize("told", [None, "float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("world", "policy"), [("float32", None), ("float32", "float64"), ("float64", "float64")]
)
def test_losses_and_metrics_keep_a_dtype_that_they_were_told(
    world: str, told: str | None, policy: str | None
) -> None:
    """All others follow the job's floatx. Of float32 under float32 Keras keeps no trace."""
    with precision(world):
        objects = _objects(**({"dtype": told} if told else {}))
        spec = job_spec(Settings(), model=_model(), dataset="d.h5", dtype_policy=policy, **objects)
    built = _built(spec)
    with precision(spec.dtype_policy):
        built.compute_metrics(None, keras.ops.zeros((3, 3)), keras.ops.zeros((3, 3)))
    is_told = told is not None and (told, world) != ("float32", "float32")
    expected = told if is_told else spec.floatx
    dtypes = [built.loss.dtype, *(metric.dtype for metric in built.metrics[1].metrics)]
    assert dtypes == [expected] * 4
    again = {"loss": spec.loss, "metrics": spec.metrics, "dtype_policy": policy}
    spelt_out = job_spec(Settings(), model=_model(), dataset="d.h5", **again)
    assert (spelt_out.loss, spelt_out.metrics) == (spec.loss, spec.metrics)


def test_float32_spelt_out_for_a_metric_is_its_own_in_a_job_of_float64() -> None:
    given = [{"RootMeanSquaredError": {"dtype": "float32"}}, {"MeanSquaredError": {}}]
    spec = _spec(_model(), metrics=given, dtype_policy="float64")
    built = _built(spec)
    with precision("float64"):
        built.compute_metrics(None, keras.ops.zeros((3, 3)), keras.ops.zeros((3, 3)))
    assert [m.dtype for m in built.metrics[1].metrics] == ["float32", "float64"]
    by_default = [{"RootMeanSquaredError": {}}, given[1]]
    assert _spec(_model(), metrics=given).metrics == _spec(_model(), metrics=by_default).metrics


@contextmanager
def _script(**settings: Any) -> Iterator[None]:
    """Keras's own settings, as a script makes them before its model."""
    config = keras.config
    before = {name: getattr(config, name)() for name in settings}
    try:
        for name, value in settings.items():
            getattr(config, f"set_{name}")(value)
        yield
    finally:
        for name, value in before.items():
            getattr(config, f"set_{name}")(value)


def _plain_dense() -> Any:
    return keras.Sequential([keras.Input((4,)), L.Dense(3, activation="tanh"), L.Dense(1)])


def _dtypes(model: Any) -> list[str]:
    """Of layers, loss, metrics, weights and the optimizer's variables."""
    model.optimizer.build(model.trainable_variables)
    x, y = keras.ops.zeros((2, 4)), keras.ops.zeros((2, 1))
    model.compute_metrics(x, y, model(x))
    model.compute_loss(x, y, model(x))
    parts = [*model.layers, *model.metrics, *model.variables, *model.optimizer.variables]
    return [model._compile_loss.dtype, *(str(part.dtype) for part in parts)]


@pytest.mark.parametrize(
    "settings",
    [
        {"floatx": "float64", "dtype_policy": "float64"},
        {"dtype_policy": "float64"},
        {"dtype_policy": "mixed_float16"},
        {"dtype_policy": "bfloat16"},
    ],
)
def test_a_scripts_precision_travels(settings: dict[str, str]) -> None:
    """Of a model that is an object, and of one that a worker asks a builder for."""
    given = {"loss": "mse", "optimizer": "adam", "metrics": ["mae"]}
    with _script(**settings):
        plain = _plain_dense()
        plain.compile(**given)
        expected = _dtypes(plain)
        spec = job_spec(Settings(), model=plain, dataset="d.h5", is_scripted=True)
    with precision(spec.dtype_policy):
        assert _dtypes(build(spec, Settings())) == expected


def made() -> Any:
    """A model of a class of the user's, which a worker makes."""

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

    return Own()


@pytest.mark.parametrize(
    ("settings", "policy"),
    [
        ({}, None),
        ({"dtype_policy": "mixed_float16"}, "mixed_float16"),
        ({"floatx": "float64", "dtype_policy": "float64"}, "float64"),
    ],
)
def test_a_worker_calls_a_builder_under_the_scripts_precision(
    settings: dict[str, str], policy: str | None
) -> None:
    given = {"model": "test_precision:made", "dataset": "d.h5", "loss": "mse"}
    with _script(**settings):
        spec = job_spec(Settings(code_trust="scripts"), is_scripted=True, **given)
    assert spec.dtype_policy == policy and spec.model.builder is not None


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        (
            {"floatx": "float64"},
            {},
            "dtype_policy: keras.config.floatx() is float64 here, and the job would compute losses"
            " and metrics in float32; give dtype_policy='float64' or dtype_policy='float32'",
        ),
        ({"floatx": "float64"}, {"dtype_policy": "float32"}, None),
        ({"floatx": "float16", "dtype_policy": "float16"}, {}, "dtype_policy: keras.config.floatx"),
        (
            {"dtype_policy": "float64"},
            {"model": "test_precision:made"},
            "dtype_policy: keras.config.dtype_policy() is float64 here, and the worker that calls",
        ),
        (
            {"epsilon": 1e-4},
            {},
            "keras.config.epsilon: it is 0.0001 here, which workers do not know;"
            " call keras.config.set_epsilon(1e-07) first",
        ),
        ({"max_epochs": 1}, {}, "keras.config.max_epochs: it is 1 here, which workers do not"),
        (
            {"image_data_format": "channels_first"},
            {"model": "test_precision:made"},
            "model: keras.config.image_data_format() is 'channels_first' here",
        ),
        ({"image_data_format": "channels_first"}, {}, None),
    ],
)
def test_settings_of_a_script_that_do_not_travel_are_refused(
    settings: dict[str, Any], given: dict[str, Any], message: str | None
) -> None:
    with _script(**{"dtype_policy": "float32", **settings}):
        arguments = {"model": _plain_dense(), "dataset": "d.h5", "loss": "mse", **given}
        refused = nullcontext() if message is None else pytest.raises(SpecError)
        with refused as caught:
            job_spec(Settings(code_trust="scripts"), is_scripted=True, **arguments)
    if message is not None:
        assert str(caught.value).startswith(message)


def test_an_operation_that_asks_for_keras_data_format_is_refused_in_another() -> None:
    """Layers have it in their configs."""
    inputs = keras.Input((6, 6, 3))
    layer = keras.Model(inputs, L.MaxPooling2D()(inputs))
    operation = keras.Model(inputs, keras.ops.image.rgb_to_grayscale(inputs))
    given = {"dataset": "d.h5", "loss": "mse", "is_scripted": True}
    with _script(image_data_format="channels_first"):
        job_spec(Settings(), model=layer, **given)
        with pytest.raises(SpecError, match=r"^model: keras.config.image_data_f"):
            job_spec(Settings(), model=operation, **given)
