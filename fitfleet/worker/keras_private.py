"""Every name of Keras and TensorFlow that is not public and that the worker uses, in one place.

pyproject.toml caps Keras below the next minor version; a test looks each of these up, so that a new
version tells at once what it has moved.
"""

from __future__ import annotations

from typing import Any

from keras.src.backend.common import global_state
from keras.src.backend.tensorflow import random as backend_random
from keras.src.backend.tensorflow.optimizer import TFOptimizer
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.initializers.random_initializers import RandomInitializer
from keras.src.legacy.saving.legacy_h5_format import load_weights_from_hdf5_group
from keras.src.optimizers.base_optimizer import BaseOptimizer
from keras.src.saving import saving_lib
from keras.src.trainers.compile_utils import CompileMetrics
from keras.src.trainers.data_adapters.data_adapter_utils import (
    class_weight_to_sample_weights,
    unpack_x_y_sample_weight,
)
from keras.src.utils import rng_utils
from tensorflow.core.framework import function_pb2
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.eager import context as eager_context
from tensorflow.python.eager import execute
from tensorflow.python.eager.polymorphic_function import atomic_function
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.ops.parallel_for import pfor

try:
    from keras.src.backend.tensorflow import numpy as backend_numpy
except ImportError:  # Keras 3.16 has moved it
    from keras.src.backend.tensorflow.ops import numpy as backend_numpy

__all__ = [
    "BaseOptimizer",
    "CompileMetrics",
    "FuncGraph",
    "RandomInitializer",
    "TFEpochIterator",
    "TFOptimizer",
    "atomic_function",
    "backend_numpy",
    "backend_random",
    "class_weight_to_sample_weights",
    "config_pb2",
    "eager_context",
    "execute",
    "function_pb2",
    "global_state",
    "load_weights_from_hdf5_group",
    "pfor",
    "rng_utils",
    "saving_lib",
    "unpack_x_y_sample_weight",
]

# What is named with an underscore in modules and classes of Keras, by owner.
ATTRIBUTES = {
    "saving_lib": ("_load_state", "_save_state"),
    "backend_random": ("_cast_seed", "_get_concrete_noise_shape"),
    "Model": (
        *("_compile_metrics", "_compute_loss", "_flatten_layers", "_get_metrics_result_or_logs"),
        *("_initial_epoch", "_loss_tracker", "_maybe_symbolic_build", "_symbolic_build"),
    ),
    "Layer": ("_non_trainable_variables", "_trainable_variables"),
    "Optimizer": ("_learning_rate", "_trainable_variables"),
}

# What an optimizer keeps of each trained variable by its key; the second from Keras 3.16 on.
BY_VARIABLE = ("_trainable_variables_indices", "_weight_decay_by_var_key")


def part_batches(epochs: TFEpochIterator, strategy: Any) -> None:
    """Let each replica have its part of every batch, as equal as they can be.

    TensorFlow's own parts are as large in every step: what a short last batch lacks it takes from
    the first of the next epoch, so that batches depend on where the fit began.
    """
    import tensorflow as tf

    count = strategy.num_replicas_in_sync
    dataset = epochs.data_adapter.get_tf_dataset()
    is_tuple = isinstance(dataset.element_spec, tuple)

    def parts(*batch: Any) -> Any:
        whole = batch if is_tuple else batch[0]
        rows = tf.shape(tf.nest.flatten(whole)[0])[0]

        def part(number: int) -> Any:
            start, stop = rows * number // count, rows * (number + 1) // count
            return tf.nest.map_structure(lambda tensor: tensor[start:stop], whole)

        datasets = [tf.data.Dataset.from_tensors(part(number)) for number in range(count)]
        first, *others = datasets
        for other in others:
            first = first.concatenate(other)
        return first

    def of_replicas(_: Any) -> Any:
        return dataset.flat_map(parts)

    epochs._distributed_dataset = strategy.distribute_datasets_from_function(of_replicas)
