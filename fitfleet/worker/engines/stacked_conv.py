"""Convolutions of K models at once: patches of the images times the kernels as matrices.

Where the stride is 1 the gradient is written out by hand: that of the images is a convolution, too,
of the padded gradient of the outputs with the kernel turned round. TensorFlow's own, of the slices
that patches are made of, would fill an array of the images' size for each position in the kernel.
"""

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
    if set(strides) == {1}:
        product = _plain_product(inputs, kernel, sizes, dilation)
    else:
        product = _product(_patches(inputs, sizes, strides, dilation), kernel)
    if bias is not None:
        product += tf.reshape(bias, (-1, *[1] * (len(inputs.shape) - 2), dimension(bias, -1)))
    return product if layer.activation is None else layer.activation(product)


def _product(patches: Any, kernel: Any) -> Any:
    """(K, batch, ..., filters)."""
    shape = tf.shape(patches)
    length, filters = dimension(patches, -1), dimension(kernel, -1)
    matrix = tf.reshape(kernel, (shape[0], length, filters))
    product = tf.matmul(tf.reshape(patches, (shape[0], -1, length)), matrix)
    outputs = tf.reshape(product, tf.concat([shape[:-1], [filters]], 0))
    return tf.ensure_shape(outputs, (*patches.shape[:-1], kernel.shape[-1]))


def _plain_product(inputs: Any, kernel: Any, sizes: Any, dilation: Any) -> Any:
    """The product for strides of 1."""
    strides = [1] * len(sizes)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def product(inputs: Any, kernel: Any) -> Any:
        patches = _patches(inputs, sizes, strides, dilation)

        def gradient(upstream: Any) -> Any:
            count, length = tf.shape(inputs)[0], dimension(patches, -1)
            rows = tf.reshape(patches, (count, -1, length))
            flow = tf.reshape(upstream, (count, -1, dimension(kernel, -1)))
            to_kernel = tf.matmul(rows, flow, transpose_a=True)
            around = [((n - 1) * step,) * 2 for n, step in zip(sizes, dilation, strict=True)]
            padded = tf.pad(upstream, [(0, 0), (0, 0), *around, (0, 0)])
            turned = tf.reverse(kernel, range(1, 1 + len(sizes)))
            turned = tf.linalg.matrix_transpose(turned)
            to_inputs = _product(_patches(padded, sizes, strides, dilation), turned)
            return to_inputs, tf.reshape(to_kernel, tf.shape(kernel))

        return _product(patches, kernel), gradient

    return product(inputs, kernel)


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
