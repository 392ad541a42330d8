"""Callbacks of the user's own, as documents: all that their constructor was given."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.checks.allow import check_names
from fitfleet.spec.job import JobSpec
from fitfleet.spec.parts.callbacks import callbacks
from fitfleet.worker.callbacks.user_callbacks import user_callbacks


class Louder(keras.callbacks.EarlyStopping):
    """Hands on what it does not name."""

    def __init__(self, volume: float = 1.0, **kwargs: Any) -> None:
        super().__init__(mode="min", **kwargs)
        self.volume = volume


class Best(keras.callbacks.ModelCheckpoint):
    """Sets one argument by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, save_best_only=True, **kwargs)


class Fixed(keras.callbacks.CSVLogger):
    """Names its file by itself."""

    def __init__(self, path: str = "/tmp/log.csv") -> None:
        super().__init__(path)
        self.path = path


class Forgetful(keras.callbacks.Callback):
    """Keeps its argument under another name."""

    def __init__(self, factor: float = 0.5) -> None:
        super().__init__()
        self.scale = factor

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Do nothing."""


def _config(value: Any) -> dict[str, Any]:
    (document,) = callbacks(value)
    config: dict[str, Any] = document["config"]
    return config


def test_what_goes_through_kwargs_is_sent() -> None:
    given = Louder(volume=2.0, monitor="loss", patience=3)
    assert _config(given) == {"volume": 2.0, "monitor": "loss", "patience": 3}


def test_what_the_class_sets_by_itself_is_not_sent_again() -> None:
    config = _config(Best("best.keras", monitor="loss"))
    assert config == {"filepath": "best.keras", "monitor": "loss"}
    assert vars(Best(**config))["save_best_only"]


def test_a_file_outside_the_jobs_own_is_refused_at_submit() -> None:
    with pytest.raises(SpecError, match=r"'/tmp/log.csv' is not inside the job's own files"):
        callbacks(Fixed())
    assert _config(Fixed("log.csv")) == {"path": "log.csv"}


def test_an_argument_that_is_not_kept_is_refused_unless_it_is_the_default() -> None:
    assert _config(Forgetful()) == {}
    with pytest.raises(SpecError, match="Forgetful keeps its argument under another name; keep it"):
        callbacks(Forgetful(0.9))


def halved(rate: float) -> float:
    """A schedule of the user's."""
    return rate / 2


class Holding(keras.callbacks.Callback):
    """Is given data, a function and a loss, as callbacks of the example gallery are."""

    def __init__(self, validation_data: Any, rule: Any = None, loss: Any = None) -> None:
        super().__init__()
        self.validation_data, self.rule, self.loss = validation_data, rule, loss


def test_a_worker_s_callback_is_given_arrays_functions_and_objects_as_they_were() -> None:
    x, y = np.linspace(0, 1, 6, dtype="float32").reshape(2, 3) / 3, np.array([1, 0], "uint8")
    given = Holding({"x": x, "rest": (y, 4)}, halved, keras.losses.Huber(delta=0.5))
    documents = json.loads(json.dumps(callbacks(given)))
    settings = Settings(trusted_modules=(__name__,))
    check_names(documents, "callbacks", settings)
    fields: dict[str, Any] = {"model": {"config": {}}, "dataset": {}, "optimizer": {}, "loss": []}
    (held,) = user_callbacks(JobSpec(**fields, callbacks=documents), settings)
    assert held.rule is halved
    assert float(held.loss([[3.0]], [[0.0]])) == float(given.loss([[3.0]], [[0.0]])) == 1.375
    kept = held.validation_data
    np.testing.assert_array_equal(kept["x"], x)
    assert kept["x"].dtype == "float32" and kept["rest"][0].dtype == "uint8"
    assert kept["rest"][1] == 4


def test_an_array_of_a_callback_holds_numbers_alone() -> None:
    documents = callbacks(Holding(np.zeros(2)))
    documents[0]["config"]["validation_data"]["config"]["value"] = ["rm"]
    with pytest.raises(SpecError, match="a constant is an array of numbers"):
        check_names(documents, "callbacks", Settings(trusted_modules=(__name__,)))
