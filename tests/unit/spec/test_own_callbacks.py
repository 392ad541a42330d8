"""Callbacks of the user's own, as documents: all that their constructor was given."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from fitfleet.errors import SpecError
from fitfleet.spec.parts.callbacks import callbacks


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
