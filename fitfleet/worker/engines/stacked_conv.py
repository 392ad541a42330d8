"""Convolutions of K models at once: patches of the images times the kernels as matrices."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from fitfleet.worker.engines.stacked_ops import dimension


def is_known(operation: Any) -> bool:
    """Whether `run` can stand for the layer's call."""
    return (
        type(operation) in (keras.layers.Conv1D, keras.layers.Conv2D)
        and operation.groups == 1
        and operation.data_format == "channels_last"
        and operation.padding in ("valid", "same")
    )


def run(layer: Any, inputs: Any, kernel: Any, bias: Any | None) -> Any:
    """inputs (K, batch, ..., channels), kernel (K, ..., channels, filters)."""
    strides, dilation, sizes = layer.strides, layer.dilation_rate, layer.kernel_size
    inputs = tf.cast(inputs, kernel.dtype)
    if layer.padding == "same":
        inputs = _padded(inputs, sizes, strides, dilation)
    patches = _patches(inputs, sizes, strides, dilation)
    shape = tf.shape(patches)
    length, filters = dimension(patches, -1), dimension(kernel, -1)
    matrix = tf.reshape(kernel, (shape[0], length, filters))
    product = tf.matmul(tf.reshape(patches, (shape[0], -1, length)), matrix)
    if bias is not None:
        product += bias[:, None]
    outputs = tf.reshape(product, tf.concat([shape[:-1], [filters]], 0))
    outputs = tf.ensure_shape(outputs, (*patches.shape[:-1], kernel.shape[-1]))
    return outputs if layer.activation is None else layer.activation(outputs)


def _padded(inputs: Any, sizes: Any, strides: Any, dilation: Any) -> Any:
    """Zeros around the images, TensorFlow's "SAME"."""
    pads = [(0, 0), (0, 0)]
    for axis, (size, stride, step) in enumerate(zip(sizes, strides, dilation, strict=True)):
        extent = inputs.shape[2 + axis]
        span = (size - 1) * step + 1
        missing = max(0, (-(-extent // stride) - 1) * stride + span - extent)
        pads.append((missing // 2, missing - missing // 2))
    return tf.pad(inputs, [*pads, (0, 0)])


def _patches(inputs: Any, sizes: Any, strides: Any, dilation: Any) -> Any:
    """(K, batch, ..., positions in the kernel * channels), in the order of the kernel."""
    whole = slice(None)
    patches: list[Any] = []
    starts: list[tuple[slice, ...]] = [()]
    for axis, (size, stride, step) in enumerate(zip(sizes, strides, dilation, strict=True)):
        span = inputs.shape[2 + axis] - (size - 1) * step
        cuts = [slice(i * step, i * step + span, stride) for i in range(size)]
        starts = [(*start, cut) for start in starts for cut in cuts]
    for start in starts:
        patches.append(inputs[(whole, whole, *start)])
    return tf.concat(patches, -1)
