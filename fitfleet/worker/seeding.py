"""Every random choice of a fit as a function of (job seed, what for, epoch), never of history.

So a fit that is killed anywhere and resumed anywhere draws what the straight run draws.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_SEED_MASK = 0x7FFFFFFF


def mix(*parts: object) -> int:
    """A 31-bit seed out of any parts; equal on every machine."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") & _SEED_MASK


def seed_everything(seed: int, *, has_own_code: bool) -> None:
    """Seeds what initial weights of job seed `seed` are drawn from, as `set_random_seed` does.

    Keras draws them from Python's `random`; only a user's own code may ask TensorFlow's global
    seed. Setting that drops every program that TensorFlow has optimised in this process.
    """
    import random

    import keras
    import numpy as np

    from fitfleet.worker.keras_private import global_state, rng_utils

    number = mix(seed, "init")
    if has_own_code:
        keras.utils.set_random_seed(number)
        return
    global_state.set_global_attribute(rng_utils.GLOBAL_RANDOM_SEED, number)
    global_state.set_global_attribute("global_seed_generator", None)
    random.seed(number)
    np.random.seed(number)


def seed_state(seed: int, index: int, epoch: int) -> np.ndarray:
    """State of the model's `index`-th SeedGenerator at the start of an epoch: int64, shape (2,).

    The second word counts draws, so an epoch has 2**24 of them to itself.
    """
    import numpy as np

    return np.array([mix(seed, index), (epoch << 24) & 0xFFFFFFFF], "int64")


def order(seed: int, epoch: Any, rows: int) -> Any:
    """Row numbers of one shuffled epoch: int64 tensor of shape (rows,).

    Works eagerly and inside a graph; `epoch` may be an int or a scalar int64 tensor.
    """
    import numpy as np
    import tensorflow as tf

    if isinstance(epoch, int):  # the same in fewer operations
        key, numbers = tf.constant([seed, epoch], tf.int64), tf.constant(np.arange(rows), tf.int64)
    else:
        key = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
        numbers = tf.range(rows, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(numbers, seed=key)


def orders(seeds: list[int], epoch: int, rows: int, *, is_shuffled: bool) -> np.ndarray:
    """Row numbers of one epoch for several jobs: int64, shape (len(seeds), rows)."""
    import numpy as np

    if not is_shuffled:
        return np.tile(np.arange(rows, dtype="int64"), (len(seeds), 1))
    return np.stack([order(seed, epoch, rows).numpy() for seed in seeds])


def seed_variables(model: Any) -> list[Any]:
    """The states of the model's SeedGenerators, in the model's own order."""
    return [v for v in model.variables if v.name == "seed_generator_state"]
