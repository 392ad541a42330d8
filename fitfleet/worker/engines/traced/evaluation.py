"""Traced programs that evaluate a compiled Keras model without Keras's loop in Python.

They run the model's `test_step` on its variables, so their logs are those of `model.evaluate`, bit
for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.programs.functions import Functions
from fitfleet.worker.engines.traced.call_length import Pace
from fitfleet.worker.engines.traced.feed import Feed
from fitfleet.worker.engines.traced.program_metrics import ProgramMetrics
from fitfleet.worker.engines.traced.row_batches import batches, integer, take_in_order
from fitfleet.worker.logs import Logs


class Evaluations:
    """The evaluation programs of one model; feeds of one signature share a program."""

    def __init__(
        self, model: Any, batch_size: int, functions: Functions, *, loops: bool = False
    ) -> None:
        """`loops`: many steps may be one call, see ProgramMetrics."""
        self._model, self._batch_size, self._functions = model, batch_size, functions
        self._loops = loops
        self._programs: dict[tuple[str, bool], EvaluationProgram] = {}

    def trace(self, feed: Feed) -> None:
        """Trace or read the program for feeds like this now; raises what TensorFlow raises."""
        self._program(feed)

    def run(self, feed: Feed, on_progress: Callable[[], None]) -> Logs:
        """Loss and metrics on all rows of a feed.

        `on_progress` is called after each call into the program; what it raises ends it.
        """
        return self._program(feed).run(feed, on_progress)

    def _program(self, feed: Feed) -> EvaluationProgram:
        # As in `evaluate`: if all batches are whole, TensorFlow knows their size, which stateful
        # layers need, and which changes how some of its kernels round.
        is_whole = feed.rows % self._batch_size == 0
        key = (feed.description, is_whole)
        if key not in self._programs:
            self._programs[key] = EvaluationProgram(
                self._model,
                feed,
                self._batch_size,
                is_whole=is_whole,
                functions=self._functions,
                loops=self._loops,
            )
        return self._programs[key]


class EvaluationProgram:
    """Evaluation of one model, for feeds of one signature."""

    def __init__(
        self,
        model: Any,
        feed: Feed,
        batch_size: int,
        *,
        is_whole: bool,
        functions: Functions,
        loops: bool,
    ) -> None:
        self._model, self._batch_size, self._is_whole = model, batch_size, is_whole
        self._metrics = ProgramMetrics(model, loops=loops)
        name = f"evaluate {feed.description} {is_whole}"
        self._pace = Pace()
        if self._metrics.loops:
            number = tf.TensorSpec((), tf.int64)
            signature = (number, number, number, feed.signature)
            self._test = functions.make(name, self._test_steps, signature)
            return
        self._take = take_in_order(feed.signature)
        batch = batches(feed.signature, batch_size if is_whole else None)
        self._test = functions.make(name, self._test_step, (batch,))

    def run(self, feed: Feed, on_progress: Callable[[], None]) -> Logs:
        """Loss and metrics on all rows of a feed."""
        self._metrics.begin()
        logs: dict[str, Any] = {}

        def run(first: int, last: int) -> int:
            nonlocal logs
            if self._metrics.loops:
                logs = self._test(*map(integer, (feed.rows, first, last)), feed.data)
                return last
            size = self._batch_size
            for begin in range(first * size, min(last * size, feed.rows), size):
                end = min(begin + size, feed.rows)
                self._test(self._take(integer(begin), integer(end), feed.data))
            return last

        self._pace.run(run, -(-feed.rows // self._batch_size), on_progress)
        return self._metrics.logs(logs)

    def _test_steps(self, rows: Any, first: Any, last: Any, data: Any) -> Any:
        self._metrics.begin_inside(first)
        size = self._batch_size

        def body(step: Any) -> Any:
            begin, end = step * size, tf.minimum((step + 1) * size, rows)
            batch = tf.nest.map_structure(lambda tensor: tensor[begin:end], data)
            if self._is_whole:
                batch = tf.nest.map_structure(
                    lambda tensor: tf.ensure_shape(tensor, (size, *tensor.shape[1:])), batch
                )
            self._model.test_step(batch)
            return (step + 1,)

        tf.while_loop(lambda step: step < last, body, (first,), parallel_iterations=1)
        return self._metrics.results_inside()

    def _test_step(self, batch: Any) -> Any:
        # The logs are not read, but without them TensorFlow would rewrite the operations before.
        return self._model.test_step(batch)
