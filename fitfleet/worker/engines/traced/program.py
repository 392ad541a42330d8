"""A traced program that trains and evaluates a compiled Keras model without Keras's loop in Python.

It runs the model's `train_step` and `test_step` on its variables, so it computes what `model.fit`
computes, bit for bit, without the Python code of `fit` around each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.programs.functions import Function, Functions
from fitfleet.worker.engines.traced import tunable_scalars
from fitfleet.worker.engines.traced.call_length import Pace
from fitfleet.worker.engines.traced.evaluation import Evaluations
from fitfleet.worker.engines.traced.feed import Feed
from fitfleet.worker.engines.traced.program_metrics import ProgramMetrics
from fitfleet.worker.engines.traced.row_batches import batches, integer, take_by_order
from fitfleet.worker.logs import Logs


class EpochProgram:
    """Training and evaluation of one model, for feeds of one signature.

    `sizes` are the batch sizes of training and evaluation. `stops_on_nan` ends an epoch after the
    first batch with a loss that is not finite, `loops` takes many steps in one call, see
    ProgramMetrics.
    """

    def __init__(
        self,
        model: Any,
        training: Feed,
        sizes: tuple[int, int],
        *,
        stops_on_nan: bool,
        functions: Functions,
        loops: bool,
    ) -> None:
        self._model = model
        self.functions = functions
        self._batch_size = sizes[0]
        self._stops_on_nan = stops_on_nan
        self._metrics = ProgramMetrics(model, loops=loops)
        self._trains_whole = training.rows % sizes[0] == 0  # see Evaluations
        self._signature = training.signature
        self._train: Function
        self._take: Function  # if a step is a call
        self.evaluations = Evaluations(model, sizes[1], functions, loops=loops)
        self._pace = Pace()

    def trace(self, validation: Feed | None) -> None:
        """Trace or read the functions before training; raises what TensorFlow raises."""
        if self._metrics.loops:
            number = tf.TensorSpec((), tf.int64)
            order = tf.TensorSpec((None,), tf.int64)
            signature = (order, number, number, self._signature)
            self._train = self.functions.make("train", self._train_steps, signature)
        else:
            batch = batches(self._signature, self._batch_size if self._trains_whole else None)
            self._take = take_by_order(self._signature)
            self._train = self.functions.make("train", self._train_step, (batch,))
        if validation is not None:
            self.evaluations.trace(validation)

    def train(
        self, feed: Feed, order: Any, on_progress: Callable[[], None]
    ) -> tuple[int, float, Logs]:
        """One epoch over the rows in `order`.

        `on_progress` is called after each call of the program; an error that it raises ends the
        epoch.
        Returns the steps done, the last value of the running loss, and the metrics.
        """
        self._metrics.begin()
        steps = -(-int(order.shape[0]) // self._batch_size)
        loss = 0.0
        logs: dict[str, Any] = {}

        def run(first: int, last: int) -> int:
            nonlocal loss, logs
            done, mean_loss, logs = self._advance(order, first, last, feed.data)
            loss = float(mean_loss)
            return int(done)

        done = self._pace.run(run, steps, on_progress)
        return done, loss, self._metrics.logs(logs)

    def _advance(self, order: Any, first: int, last: int, data: Any) -> tuple[Any, Any, Any]:
        """Steps up to `last`: the steps done, the last running loss, and the metrics."""
        result: tuple[Any, Any, Any] = (first, 0.0, {})
        if self._metrics.loops:
            return tuple(self._train(order, integer(first), integer(last), data))
        size, rows = self._batch_size, int(order.shape[0])
        for step in range(first, last):
            bounds = integer(step * size), integer(min((step + 1) * size, rows))
            loss = self._train(self._take(order, *bounds, data))["loss"]
            result = (step + 1, loss, {})
            if self._stops_on_nan and not math.isfinite(loss):
                break
        return result

    def _train_step(self, batch: Any) -> Any:
        # All logs: without them TensorFlow would rewrite the operations before them.
        with tunable_scalars.tracing():
            return self._model.train_step(batch)

    def _train_steps(self, order: Any, first: Any, last: Any, data: Any) -> Any:
        self._metrics.begin_inside(first)
        size, rows = self._batch_size, tf.shape(order, tf.int64)[0]

        def is_open(step: Any, loss: Any) -> Any:
            if self._stops_on_nan:
                return (step < last) & tf.math.is_finite(loss)
            return step < last

        def body(step: Any, _: Any) -> Any:
            numbers = order[step * size : tf.minimum((step + 1) * size, rows)]
            if self._trains_whole:
                numbers = tf.ensure_shape(numbers, (size,))
            batch = tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)
            with tunable_scalars.tracing():
                logs = self._model.train_step(batch)
            return step + 1, tf.cast(logs["loss"], tf.float64)

        start = (first, tf.constant(0.0, tf.float64))
        done, loss = tf.while_loop(is_open, body, start, parallel_iterations=1)
        return done, loss, self._metrics.results_inside()
