"""Keras's TensorBoard callback, whose event files are the job's, and need no tensorboard package.

A fit that resumes continues the folder of its checkpoint: what an attempt wrote after its last
checkpoint is gone with that attempt, so no step is there twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

_BUCKETS = 30  # of a histogram, as tf.summary.histogram has it


class Summaries:
    """The functions of `tf.summary` that TensorBoard's package implements; others are its own.

    The forms are those of the plugins "scalars", "histograms" and "images", version 0.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(tf.summary, name)

    def scalar(self, name: str, data: Any, step: Any = None) -> Any:
        """A number."""
        return _write("scalars", name, tf.cast(data, tf.float32), step)

    def histogram(self, name: str, data: Any, step: Any = None) -> Any:
        """Of all elements of a tensor: rows of left edge, right edge and count."""
        values = tf.cast(tf.reshape(data, [-1]), tf.float64)
        return _write("histograms", name, _histogram(values), step)

    def image(self, name: str, data: Any, step: Any = None) -> Any:
        """Of a batch (images, height, width, channels) in [0, 1] the first three."""
        images = tf.image.convert_image_dtype(data, tf.uint8, saturate=True)
        size = tf.as_string(tf.stack([tf.shape(images)[2], tf.shape(images)[1]]))
        parts = [size, tf.image.encode_png(images[:3])]
        return _write("images", name, tf.concat(parts, axis=0), step)


def _histogram(values: Any) -> Any:
    """Of float64 `values` (n,): (30, 3). A NaN is in no bucket."""
    values = tf.boolean_mask(values, tf.math.is_finite(values))
    if tf.size(values) == 0:
        return tf.zeros((_BUCKETS, 3), tf.float64)
    low, high = tf.reduce_min(values), tf.reduce_max(values)
    if low == high:  # all in the last bucket
        counts = tf.constant([0.0] * (_BUCKETS - 1), tf.float64)
        counts = tf.concat([counts, [tf.cast(tf.size(values), tf.float64)]], axis=0)
        edges = tf.fill([_BUCKETS + 1], low)
    else:
        counts = tf.cast(tf.histogram_fixed_width(values, [low, high], _BUCKETS), tf.float64)
        edges = tf.linspace(low, high, _BUCKETS + 1)
    return tf.stack([edges[:-1], edges[1:], counts], axis=1)


def _write(plugin: str, name: str, tensor: Any, step: Any) -> Any:
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    with tf.summary.experimental.summary_scope(name, "summary", values=[tensor]) as (tag, _):
        return tf.summary.write(tag=tag, tensor=tensor, step=step, metadata=metadata)


class OwnEventFiles:
    """What a TensorBoard callback of a job has besides Keras's."""

    _model: Any
    _prev_summary_state: list[Any]
    _writers: dict[str, Any]

    @property
    def summary(self) -> Any:
        """In place of `tensorflow.summary`."""
        return Summaries()

    def set_model(self, model: Any) -> None:
        """Keras opens files for each call, and a fit has several of the same model."""
        if getattr(self, "_model", None) is not model:
            super().set_model(model)  # type: ignore[misc]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras leaves an epoch out whose last batch is none that update_freq names."""
        with tf.summary.record_if(True):
            super().on_epoch_end(epoch, logs)  # type: ignore[misc]

    def continue_files(self) -> None:
        """The model stands in files of an attempt before."""
        self.write_graph = False

    def flush(self) -> None:
        """Let the files hold all that was written."""
        for writer in self._writers.values():
            writer.flush()

    def close_files(self) -> None:
        """End what an unfinished fit has left open."""
        while self._prev_summary_state:
            self._pop_writer()  # type: ignore[attr-defined]
        for writer in self._writers.values():
            writer.close()


class TensorBoard(OwnEventFiles, keras.callbacks.TensorBoard):  # type: ignore[misc]
    """Keras's own."""


def with_own_files(kind: Any) -> Any:
    """A class of the user's; one derived from TensorBoard with what those of a job have besides."""
    if not isinstance(kind, type) or not issubclass(kind, keras.callbacks.TensorBoard):
        return kind
    return type(kind.__name__, (OwnEventFiles, kind), {"__module__": kind.__module__})


def has_events(folder: Path) -> bool:
    """Whether an attempt before has written event files there."""
    return any(folder.rglob("*.tfevents.*"))
