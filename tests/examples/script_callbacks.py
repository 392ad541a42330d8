"""Callbacks and a schedule of a user's own, in a module that a worker can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import keras
import numpy as np


class Seen(keras.callbacks.Callback):
    """Reads all that Keras gives a callback, and says so in the log."""

    def on_train_begin(self, logs: Any = None) -> None:
        print(f"PARAMS {self.params['epochs']} {self.params['steps']} {self.model.count_params()}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        weight = float(keras.ops.sum(self.model.layers[0].kernel))
        print(f"SEEN {epoch} {rate:.6f} {weight:.9g} {sorted(logs)}")


def halved(epoch: int, rate: float) -> float:
    return rate * 0.5 if epoch else rate


class Probe(keras.callbacks.Callback):
    """Scores rows of its own after each epoch; its worker dies in the second one, once."""

    def __init__(self, x: Any, scales: Any, loss: Any, rows: list[int], marker: str) -> None:
        super().__init__()
        self.x, self.scales, self.loss, self.rows = x, scales, loss, rows
        self.marker = marker
        self.seen = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen += 1
        assert isinstance(self.x, np.ndarray) and self.x.dtype == np.float32
        assert isinstance(self.scales, np.ndarray) and self.scales.dtype == np.int16
        scaled = self.x[self.rows] * self.scales
        value = float(self.loss(scaled, self.model(self.x[self.rows])))
        print(f"PROBE {epoch} {self.seen} {value:.9g}")
        logs["probe"] = value

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2 and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Failing(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise RuntimeError("no more")
