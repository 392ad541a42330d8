"""Keras's `fit`, an epoch at a time.

Keras's `fit` loops over the epochs itself; what it does inside of one is repeated here, line by
line (keras/src/backend/tensorflow/trainer.py, `TensorFlowTrainer.fit`).
"""

from __future__ import annotations

from typing import Any

from fitfleet.worker.keras_private import TFEpochIterator, part_batches, unpack_x_y_sample_weight


def _epochs(model: Any, data: Any, **options: Any) -> Any:
    """Keras's iterator over the batches of each epoch, created as in `fit`."""
    return TFEpochIterator(
        x=data,
        shuffle=False,
        distribute_strategy=model.distribute_strategy,
        steps_per_execution=model.steps_per_execution,
        **options,
    )


class EpochOfFit:
    """What Keras's `fit` does between the begin and the end of an epoch."""

    def __init__(self, model: Any, callbacks: Any) -> None:
        """`callbacks` is a CallbackList, whose methods of batches and of `evaluate` are called."""
        self._model = model
        self._callbacks = callbacks
        self._batches: Any = None

    def prepare(self, dataset: Any) -> None:
        """Build the variables that the model still lacks from a first batch. The dataset has the
        batches of one epoch, and is iterated over for each.
        """
        model = self._model
        self._batches = _epochs(model, dataset)
        if model.distribute_strategy.num_replicas_in_sync > 1:
            part_batches(self._batches, model.distribute_strategy)
        model._maybe_symbolic_build(iterator=self._batches)
        self._batches.reset()

    def train(self) -> dict[str, Any]:
        """Logs of one epoch; a callback may end it, after any batch."""
        model, callbacks = self._model, self._callbacks
        model.make_train_function()
        model.reset_metrics()
        logs: Any = {}
        with self._batches.catch_stop_iteration():
            for first, last, iterator in self._batches:
                callbacks.on_train_batch_begin(first)
                logs = model.train_function(iterator)
                callbacks.on_train_batch_end(last, logs)
                if model.stop_training:
                    break
        return dict(model._get_metrics_result_or_logs(logs))

    def validate(self, data: Any, batch_size: int | None) -> dict[str, Any]:
        """Logs of the validation data, an (x, y, weight) tuple or a tf.data.Dataset."""
        model = self._model
        x, y, weight = unpack_x_y_sample_weight(data)
        options = {"y": y, "sample_weight": weight, "batch_size": batch_size}
        if getattr(model, "_eval_epoch_iterator", None) is None:
            model._eval_epoch_iterator = _epochs(model, x, **options)
        logs: dict[str, Any] = model.evaluate(
            x=x,
            **options,
            callbacks=self._callbacks,
            return_dict=True,
            _use_cached_eval_dataset=True,
        )
        return logs

    def close(self) -> None:
        """Delete the cached iterator, as `fit` does after the last epoch."""
        if getattr(self._model, "_eval_epoch_iterator", None) is not None:
            del self._model._eval_epoch_iterator
