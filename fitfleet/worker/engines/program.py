"""A traced program that trains and validates a compiled Keras model without Keras's own loop.

It runs the model's own `train_step` and `test_step` over the model's own variables, so what it
computes is what `model.fit` computes, bit for bit; it leaves out what `fit` does around every
single step in Python. Many steps are one call, in a loop inside the graph, where the model is
known to be computed there as outside of one; for all others a step is a call.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from fitfleet.worker.engines import proven, tunable
from fitfleet.worker.engines.feed import Feed
from fitfleet.worker.keras_private import CompileMetrics

Logs = dict[str, float]

# Cancel, heartbeat and progress act between calls, so a call should not last much longer.
_CALL_S = 0.5


class EpochProgram:
    """Training and validation of one model, for feeds of one signature.

    `stops_on_nan` ends an epoch after the first batch with a loss that is not finite. Where all
    metrics are means, the program resets and reads them too, which takes fewer calls.
    """

    def __init__(
        self,
        model: Any,
        training: Feed,
        validation: Feed | None,
        sizes: tuple[int, int],
        *,
        stops_on_nan: bool,
    ) -> None:
        self._model = model
        self._sizes = sizes
        self._stops_on_nan = stops_on_nan
        # TensorFlow does not see the shapes of variables inside a loop, and rewrites sums and
        # products that it would rewrite outside, as in `fit`, otherwise or not at all.
        self._loops = proven.is_same_in_a_loop(model)
        self._counts = self._loops and _are_means(model)
        # As in `fit`: when all batches are whole, TensorFlow knows their size, which stateful
        # layers need, and by which some of its kernels round otherwise.
        self._trains_whole = training.rows % sizes[0] == 0
        self._tests_whole = validation is not None and validation.rows % sizes[1] == 0
        integer = tf.TensorSpec((), tf.int64)
        order = tf.TensorSpec((None,), tf.int64)
        self._train = tf.function(
            self._train_steps,
            autograph=False,
            input_signature=(order, integer, integer, training.signature),
        )
        self._test: Any = None
        if validation is not None:
            self._test = tf.function(
                self._test_steps,
                autograph=False,
                input_signature=(integer, integer, integer, validation.signature),
            )
        self._train_pace, self._test_pace = Pace(), Pace()

    def trace(self) -> None:
        """Make the graphs now, which the first calls would do; raises what TensorFlow raises."""
        self._train.get_concrete_function()
        if self._test is not None:
            self._test.get_concrete_function()

    def train(self, feed: Feed, order: Any, between: Callable[[], None]) -> tuple[int, float, Logs]:
        """One epoch over the rows in `order`.

        `between` is called after every call into the program; what it raises ends the epoch.
        Returns the steps done, the last value of the running loss, and the metrics.
        """
        if not self._counts:
            self._model.reset_metrics()
        steps = -(-int(order.shape[0]) // self._sizes[0])
        loss = 0.0
        logs: dict[str, Any] = {}

        def run(first: int, last: int) -> int:
            nonlocal loss, logs
            done, mean_loss, logs = self._advance(order, first, last, feed.data)
            loss = float(mean_loss)
            return int(done)

        done = self._train_pace.run(run, steps, between)
        return done, loss, self._logs(logs)

    def validate(self, feed: Feed, between: Callable[[], None]) -> Logs:
        """All rows of a validation feed; their metrics."""
        if not self._counts:
            self._model.reset_metrics()
        steps = -(-feed.rows // self._sizes[1])
        logs: dict[str, Any] = {}

        def run(first: int, last: int) -> int:
            nonlocal logs
            for start, end in self._calls(first, last):
                logs = self._test(feed.rows, start, end, feed.data)
            return last

        self._test_pace.run(run, steps, between)
        return self._logs(logs)

    def _advance(self, order: Any, first: int, last: int, data: Any) -> tuple[Any, Any, Any]:
        """Steps up to `last`: the steps done, the last running loss, and the metrics."""
        result: tuple[Any, Any, Any] = (first, 0.0, {})
        for start, end in self._calls(first, last):
            result = self._train(order, start, end, data)
            if self._stops_on_nan and not math.isfinite(result[1]):
                break
        return result

    def _calls(self, first: int, last: int) -> list[tuple[int, int]]:
        """The steps that each call takes."""
        if self._loops:
            return [(first, last)]
        return [(step, step + 1) for step in range(first, last)]

    def _logs(self, sums: dict[str, Any]) -> Logs:
        results = sums if self._counts else self._model.get_metrics_result()
        return {name: float(value) for name, value in results.items()}

    def _start(self, first: Any) -> None:
        """Metrics as `reset_metrics` leaves them, before an epoch's first step."""
        if self._counts:
            for variable in self._model.metrics_variables:
                value = variable.value
                variable.assign(tf.where(first == 0, tf.zeros_like(value), value))

    def _results(self) -> dict[str, Any]:
        return dict(self._model.get_metrics_result()) if self._counts else {}

    def _train_steps(self, order: Any, first: Any, last: Any, data: Any) -> Any:
        self._start(first)
        size, rows = self._sizes[0], tf.shape(order, tf.int64)[0]

        def is_open(step: Any, loss: Any) -> Any:
            if self._stops_on_nan:
                return (step < last) & tf.math.is_finite(loss)
            return step < last

        def body(step: Any, _: Any) -> Any:
            numbers = order[step * size : tf.minimum((step + 1) * size, rows)]
            if self._trains_whole:
                numbers = tf.ensure_shape(numbers, (size,))
            batch = tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)
            with tunable.tracing():
                logs = self._model.train_step(batch)
            return step + 1, tf.cast(logs["loss"], tf.float64)

        start = (first, tf.constant(0.0, tf.float64))
        if not self._loops:
            done, loss = body(*start)
            return done, loss, {}
        done, loss = tf.while_loop(is_open, body, start, parallel_iterations=1)
        return done, loss, self._results()

    def _test_steps(self, rows: Any, first: Any, last: Any, data: Any) -> Any:
        self._start(first)
        size = self._sizes[1]

        def body(step: Any) -> Any:
            begin, end = step * size, tf.minimum((step + 1) * size, rows)
            batch = tf.nest.map_structure(lambda tensor: tensor[begin:end], data)
            if self._tests_whole:
                batch = tf.nest.map_structure(
                    lambda tensor: tf.ensure_shape(tensor, (size, *tensor.shape[1:])), batch
                )
            self._model.test_step(batch)
            return (step + 1,)

        if not self._loops:
            body(first)
            return {}
        tf.while_loop(lambda step: step < last, body, (first,), parallel_iterations=1)
        return self._results()


def _are_means(model: Any) -> bool:
    """Whether every metric is Keras's sum over its count, which a graph divides as Keras does.

    Of others TensorFlow may rewrite the arithmetic in a graph, and with it their last bits.
    """
    mean = keras.metrics.Mean
    return all(
        type(part).result is mean.result and type(part).reset_state is mean.reset_state
        for metric in model.metrics
        for part in (metric.metrics if isinstance(metric, CompileMetrics) else [metric])
    )


class Pace:
    """Cuts an epoch into calls of about half a second, by the time that steps have taken."""

    def __init__(self) -> None:
        self._step_s: float | None = None

    def run(self, call: Callable[[int, int], int], steps: int, between: Callable[[], None]) -> int:
        """Call `call(first, last)` until `steps` are done or a call ends early; the steps done."""
        first = 0
        while first < steps:
            last = min(steps, first + self._count())
            began = time.perf_counter()
            done = call(first, last)
            self._measure((time.perf_counter() - began) / (last - first))
            between()
            if done < last:
                return done
            first = last
        return first

    def _measure(self, step_s: float) -> None:
        # The first call of all contains the tracing; the best time is what a step takes.
        self._step_s = step_s if self._step_s is None else min(self._step_s, step_s)

    def _count(self) -> int:
        if self._step_s is None:
            return 1
        return math.ceil(_CALL_S / max(self._step_s, 1e-6))
