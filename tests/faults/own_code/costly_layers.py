"""A user's own layers, which workers trust: one that takes its time, one that takes memory."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

_PACE = Path(os.environ.get("OBSTACLES_PACE", "none"))
_MIB = 2**20


def _rest() -> None:
    try:
        time.sleep(float(_PACE.read_text()))
    except (FileNotFoundError, ValueError):  # no pace is set, or is being set
        return


@keras.saving.register_keras_serializable(package="costly_layers")
class Pause(keras.layers.Layer):  # type: ignore[misc]
    """Gives back what it is given; each batch of the training takes as long as the file says."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Any shape."""
        if not training:
            return inputs
        with tf.control_dependencies([tf.py_function(_rest, [], [])]):
            return tf.identity(inputs)


@keras.saving.register_keras_serializable(package="costly_layers")
class Hungry(keras.layers.Layer):  # type: ignore[misc]
    """Takes 4 MiB for each row, in a process that has only `mib` more than it has now."""

    def __init__(self, mib: int, **more: Any) -> None:
        super().__init__(**more)
        self.mib = mib

    def get_config(self) -> dict[str, Any]:
        """For the spec."""
        return {**super().get_config(), "mib": self.mib}

    def build(self, input_shape: Any) -> None:
        """Set the limit."""
        _limit(_data_bytes() + self.mib * _MIB)

    def call(self, inputs: Any) -> Any:
        """Rows of any shape; a number that all the memory went into is added."""
        rows = tf.reshape(inputs, (tf.shape(inputs)[0], -1))
        much = rows[:, :1] * tf.range(_MIB, dtype=inputs.dtype)[None]
        return inputs + 1e-9 * tf.reduce_mean(much)


def freed(y_true: Any, y_pred: Any, context: dict[str, Any]) -> dict[str, float]:
    """An evaluator that takes the limit away: the process continues to other jobs."""
    _limit(resource.getrlimit(resource.RLIMIT_DATA)[1])
    return {}


def _limit(soft: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _data_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmData")
