"""Names that Keras's count in a script has made up: those of a fresh process stand in the job."""

from __future__ import annotations

from typing import Any

import keras
import pytest

import fitfleet as ff
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.check import check
from fitfleet.spec.job import JobSpec
from fitfleet.spec.parts.compile import losses, metrics, optimizer
from fitfleet.spec.submission import job_spec

SETTINGS = Settings(trusted_modules=(__name__,))


class MyMetric(keras.metrics.Metric):
    """Leaves its name to Keras."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count nothing."""

    def result(self) -> Any:
        return 0.0


class Named(MyMetric):
    """Has a name of its own."""

    def __init__(self, name: str = "named_2", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)


class MyLoss(keras.losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(y_true - y_pred)


class MyDescent(keras.optimizers.SGD):
    """Keras itself counts none of these."""


def _names(documents: Any) -> list[str]:
    return [document["config"]["name"] for document in documents]


def test_metrics_are_counted_from_the_start() -> None:
    for _ in range(2):
        given: list[Any] = [MyMetric(), MyMetric(), Named(), MyMetric(name="other")]
        assert _names(metrics(given)) == ["my_metric", "my_metric_1", "named_2", "other"]


def test_losses_and_optimizers_are_the_same_whenever_they_are_made() -> None:
    assert losses(MyLoss()) == losses(MyLoss())
    assert losses({"a": MyLoss(), "b": MyLoss()})["b"]["config"]["name"] == "my_loss_1"
    assert optimizer(MyDescent()) == optimizer(MyDescent())


def _spec(monitor: str) -> JobSpec:
    stops = keras.callbacks.EarlyStopping(monitor=monitor, mode="max")
    model = ff.Sequential([ff.layers.Input((2,)), ff.layers.Dense(1)])
    return job_spec(
        SETTINGS,
        model=model,
        dataset="data.h5",
        loss=MyLoss(),
        metrics=[MyMetric()],
        callbacks=[stops],
        epochs=1,
    )


def test_two_submits_of_one_script_are_the_same_job() -> None:
    assert _spec("val_my_metric") == _spec("val_my_metric")


def test_a_name_of_the_scripts_own_count_is_reported_where_a_callback_watches_it() -> None:
    spec = _spec("val_my_metric_3")
    check(_spec("val_my_metric"), SETTINGS)
    with pytest.raises(SpecError) as refused:
        check(spec, SETTINGS)
    assert "the fit has no metric 'val_my_metric_3': metrics are counted as in a fresh" in str(
        refused.value
    )
    assert "did you mean val_my_metric, " in str(refused.value)
