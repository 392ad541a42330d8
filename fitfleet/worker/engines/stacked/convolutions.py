"""Convolutions of K models at once: patches of the images times the kernels as matrices.

For strides of 1 the gradient is computed here. That of the images is a convolution of the padded
gradient of the outputs with the flipped kernel; with fewer channels than filters it is faster to
sum over the positions in the kernel. TensorFlow's gradient of the slices that patches consist of
would fill an array of the images' size for each of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fitfleet.worker.engines.stacked.vectorized_map import dimension

# With so few channels, patches are copied in longer runs if channels come before pixels.
_FEW_CHANNELS = 3


def is_known(operation: Any) -> bool:
    """Whether `run` supports the layer."""
    return (
        type(operation) in (keras.layers.Conv1D, keras.layers.Conv2D)
        and operation.groups == 1
        and operation.data_format == "channels_last"
        and operation.padding in ("valid", "same")
    )


def run(layer: Any, inputs: Any, kernel: Any, bias: Any | None) -> Any:
    """The layer's outputs, shape (K, batch, ..., filters).

    inputs (K, batch, ..., channels), kernel (K, ..., channels, filters), bias (K, filters)."""
    strides, dilation, sizes = layer.strides, layer.dilation_rate, layer.kernel_size
    inputs = tf.cast(inputs, kernel.dtype)
    if layer.padding == "same":
        inputs = _padded(inputs, sizes, strides, dilation)
    if set(strides) == {1}:
        product = _plain_product(inputs, kernel, sizes, dilation)
    else:
        product = _product(_patches(inputs, sizes, strides, dilation), kernel)
    if bias is not None:
        product += tf.reshape(bias, (-1, *[1] * (len(inputs.shape) - 2), dimension(bias, -1)))
    return product if layer.activation is None else layer.activation(product)


def _product(patches: Any, kernel: Any) -> Any:
    """Patches times kernel, shape (K, batch, ..., filters)."""
    shape = tf.shape(patches)
    length, filters = dimension(patches, -1), dimension(kernel, -1)
    matrix = tf.reshape(kernel, (shape[0], length, filters))
    product = tf.matmul(tf.reshape(patches, (shape[0], -1, length)), matrix)
    outputs = tf.reshape(product, tf.concat([shape[:-1], [filters]], 0))
    return tf.ensure_shape(outputs, (*patches.shape[:-1], kernel.shape[-1]))


def _plain_product(inputs: Any, kernel: Any, sizes: Any, dilation: Any) -> Any:
    """The product for strides of 1."""
    are_rows = dimension(inputs, -1) > _FEW_CHANNELS
    return _either(
        are_rows,
        lambda: _product_of(_gathered, inputs, kernel, sizes, dilation),
        lambda: _product_of(_columns, inputs, kernel, sizes, dilation),
    )


def _either(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """One of two results; chosen when the program runs if the width is open in the trace.

    The choice decides the last bits, so for each width it has to be that of the width's program.
    """
    if isinstance(condition, bool):
        return then() if condition else otherwise()
    return tf.cond(condition, then, otherwise)


def _product_of(patches_of: Any, inputs: Any, kernel: Any, sizes: Any, dilation: Any) -> Any:
    are_rows = patches_of is _gathered

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def product(inputs: Any, kernel: Any) -> Any:
        patches = patches_of(inputs, sizes, dilation)
        count, filters = tf.shape(kernel)[0], dimension(kernel, -1)
        matrix = tf.reshape(kernel, (count, -1, filters))
        outputs = tf.matmul(patches, matrix, transpose_a=not are_rows)

        def gradient(upstream: Any) -> Any:
            flow = tf.reshape(upstream, (count, -1, filters))
            to_kernel = tf.matmul(patches, flow, transpose_a=are_rows)
            to_inputs = _either(
                dimension(kernel, -2) < filters,
                lambda: _summed_gradient(upstream, kernel, sizes, dilation),
                lambda: _convolved_gradient(upstream, kernel, sizes, dilation),
            )
            return to_inputs, tf.reshape(to_kernel, tf.shape(kernel))

        places = _places(inputs, sizes, dilation)
        outputs = tf.reshape(outputs, (count, tf.shape(inputs)[1], *places, filters))
        return tf.ensure_shape(outputs, (*inputs.shape[:2], *places, kernel.shape[-1])), gradient

    return product(inputs, kernel)


def _places(inputs: Any, sizes: Any, dilation: Any) -> list[int]:
    """The sizes of the axes of the outputs, for strides of 1 without padding."""
    extents = inputs.shape[2:-1]
    return [e - (n - 1) * d for e, n, d in zip(extents, sizes, dilation, strict=True)]


def _positions(sizes: Any, dilation: Any) -> list[tuple[int, ...]]:
    """The positions in the kernel, in its order, as offsets of pixels in the images."""
    steps = [range(0, n * d, d) for n, d in zip(sizes, dilation, strict=True)]
    return list(itertools.product(*steps))


def _gathered(inputs: Any, sizes: Any, dilation: Any) -> Any:
    """Patches as rows: (K, batch * places, positions in the kernel * channels)."""
    extents, places = inputs.shape[2:-1], _places(inputs, sizes, dilation)
    numbers = np.arange(np.prod(extents), dtype="int32").reshape(extents)
    starts = [range(place) for place in places]
    first = tf.constant(numbers[np.ix_(*starts)].reshape(-1, 1))
    offsets = [numbers[position] for position in _positions(sizes, dilation)]
    channels, count = dimension(inputs, -1), tf.shape(inputs)[0]
    pixels = tf.reshape(inputs, (-1, numbers.size, channels))
    # Summed when it runs: constants of all the sums would make the program large.
    rows = tf.gather(pixels, tf.reshape(first + tf.constant(offsets, tf.int32), (-1,)), axis=1)
    return tf.reshape(rows, (count, -1, len(offsets) * channels))


def _columns(inputs: Any, sizes: Any, dilation: Any) -> Any:
    """Patches as columns: (K, positions in the kernel * channels, batch * places)."""
    places, axes = _places(inputs, sizes, dilation), range(1, len(inputs.shape) - 1)
    images = tf.transpose(inputs, (0, len(inputs.shape) - 1, *axes))
    shape = (tf.shape(inputs)[0], dimension(inputs, -1), -1)
    whole = (slice(None),) * 3
    parts = []
    for position in _positions(sizes, dilation):
        cut = [slice(at, at + place) for at, place in zip(position, places, strict=True)]
        parts.append(tf.reshape(images[(*whole, *cut)], shape))
    return tf.concat(parts, 1)


def _convolved_gradient(upstream: Any, kernel: Any, sizes: Any, dilation: Any) -> Any:
    """The gradient of the images as a convolution."""
    around = [((n - 1) * step,) * 2 for n, step in zip(sizes, dilation, strict=True)]
    padded = tf.pad(upstream, [(0, 0), (0, 0), *around, (0, 0)])
    flipped = tf.linalg.matrix_transpose(tf.reverse(kernel, range(1, 1 + len(sizes))))
    channels, places = dimension(kernel, -2), _places(padded, sizes, dilation)
    matrix = tf.reshape(flipped, (tf.shape(kernel)[0], -1, channels))
    product = tf.matmul(_gathered(padded, sizes, dilation), matrix)
    return tf.reshape(product, tf.concat([tf.shape(upstream)[:2], places, [channels]], 0))


def _summed_gradient(upstream: Any, kernel: Any, sizes: Any, dilation: Any) -> Any:
    """The gradient of the images as a sum over the positions in the kernel."""
    channels, filters = dimension(kernel, -2), dimension(kernel, -1)
    flow = tf.reshape(upstream, (tf.shape(upstream)[0], -1, filters))
    shape = tf.concat([tf.shape(upstream)[:-1], [channels]], 0)
    count = math.prod(sizes)
    matrices = tf.unstack(tf.reshape(kernel, (-1, count, channels, filters)), count, axis=1)
    spans = [(n - 1) * step for n, step in zip(sizes, dilation, strict=True)]
    parts = []
    for matrix, position in zip(matrices, _positions(sizes, dilation), strict=True):
        part = tf.reshape(tf.matmul(flow, matrix, transpose_b=True), shape)
        around = [(at, span - at) for at, span in zip(position, spans, strict=True)]
        parts.append(tf.pad(part, [(0, 0), (0, 0), *around, (0, 0)]))
    return tf.add_n(parts)


def _padded(inputs: Any, sizes: Any, strides: Any, dilation: Any) -> Any:
    """The images padded with zeros, as TensorFlow's "SAME"."""
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
