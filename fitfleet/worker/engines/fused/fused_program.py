"""One traced program that trains K models of one architecture at once.

The state of the K models is a list of tensors (K, ...), one for each variable. K is None in the
signature, so models that have ended are removed from the stack without another trace. A model's
numbers do not depend on the others in the stack, NaN included.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from fitfleet.worker.engines.programs.functions import Functions
from fitfleet.worker.engines.stacked import graph, optimizer
from fitfleet.worker.engines.stacked.graph import Stack
from fitfleet.worker.engines.traced.call_length import Pace
from fitfleet.worker.engines.traced.feed import Feed
from fitfleet.worker.engines.traced.fresh_state import optimizer_variables
from fitfleet.worker.engines.traced.tunable_scalars import tracing

State = list[Any]


class FusedProgram:
    """Training and validation of K models that differ only in the values of their variables.

    Raises Unfusable, or what TensorFlow raises, if the model cannot be traced.
    """

    def __init__(
        self,
        model: Any,
        scalars: Sequence[Any],
        training: Feed,
        validation: Feed | None,
        sizes: tuple[int, int],
        functions: Functions,
        shapes: Sequence[tuple[int | None, ...]] | None = None,
    ) -> None:
        """`sizes` are the batch sizes of training and validation, `scalars` variables of the model
        that Keras does not list, `shapes` those of all variables, None for an open dimension (by
        default the model's).
        """
        self._sizes, self._functions = sizes, functions
        self._set_model(model, scalars)
        self._shapes = [tuple(v.shape) for v in self.variables] if shapes is None else list(shapes)
        self._state = state = [
            tf.TensorSpec((None, *shape), v.value.dtype)
            for shape, v in zip(self._shapes, self.variables, strict=True)
        ]
        number = tf.TensorSpec((), tf.int64)
        orders = tf.TensorSpec((None, None), tf.int64)
        with optimizer.stateless(model.optimizer):
            self._train = functions.make(
                "train", self._train_steps, (state, orders, number, number, training.signature)
            )
        self._tests: dict[str, Any] = {}  # by the description of a feed
        if validation is not None:
            self._test(validation)
        self._results = functions.make("results", self._result, (state,))
        self._zeros = [
            (index, tf.zeros(v.shape, v.value.dtype))
            for index, v in enumerate(self.variables)
            if index >= len(self.variables) - len(self.metrics)
        ]

    def _set_model(self, model: Any, scalars: Sequence[Any]) -> None:
        self._model = model
        self.weights = list(model.variables)
        self.optimizer = optimizer_variables(model.optimizer)
        self.scalars = list(scalars)
        self.metrics = list(model.metrics_variables)
        self.variables = [*self.weights, *self.optimizer, *self.scalars, *self.metrics]
        self._train_pace, self._test_pace = Pace(), Pace()

    def of(self, model: Any, scalars: Sequence[Any]) -> FusedProgram:
        """The same traced functions for a model that differs in open dimensions."""
        program = copy.copy(self)
        program._set_model(model, scalars)
        return program

    def _test(self, feed: Feed) -> Any:
        """The function that evaluates feeds like this one."""
        if feed.description not in self._tests:
            number = tf.TensorSpec((), tf.int64)
            self._tests[feed.description] = self._functions.make(
                f"test {feed.description}",
                self._test_steps,
                (self._state, number, number, number, feed.signature),
            )
        return self._tests[feed.description]

    def train(
        self, state: State, feed: Feed, orders: Any, on_progress: Callable[[], None]
    ) -> tuple[State, dict[str, Any]]:
        """One epoch; model k takes the rows in the order `orders[k]`, shape (K, rows).

        Returns the new state and the logs, each of shape (K,)."""
        state = self._reset(state)
        steps = -(-int(orders.shape[1]) // self._sizes[0])

        def call(first: int, last: int) -> int:
            nonlocal state
            bounds = (tf.constant(first, tf.int64), tf.constant(last, tf.int64))
            state = list(self._train(state, orders, *bounds, feed.data))
            return last

        self._train_pace.run(call, steps, on_progress)
        return state, self._logs(state)

    def validate(
        self, state: State, feed: Feed, on_progress: Callable[[], None]
    ) -> tuple[State, dict[str, Any]]:
        """Evaluate all rows of a feed: the state with new metrics, and the logs, each (K,)."""
        state, test = self._reset(state), self._test(feed)
        rows = tf.constant(feed.rows, tf.int64)

        def call(first: int, last: int) -> int:
            nonlocal state
            bounds = (tf.constant(first, tf.int64), tf.constant(last, tf.int64))
            state = list(test(state, rows, *bounds, feed.data))
            return last

        self._test_pace.run(call, -(-feed.rows // self._sizes[1]), on_progress)
        return state, self._logs(state)

    def _logs(self, state: State) -> dict[str, Any]:
        return {name: value.numpy() for name, value in self._results(state).items()}

    def _reset(self, state: State) -> State:
        """The state with metrics reset; all of Keras's start from zero."""
        state = list(state)
        count = tf.shape(state[0])[0]
        for index, zero in self._zeros:
            state[index] = tf.zeros(tf.concat([[count], tf.shape(zero)], 0), zero.dtype)
        return state

    def _train_steps(self, state: State, orders: Any, first: Any, last: Any, data: Any) -> State:
        size, rows = self._sizes[0], tf.shape(orders, tf.int64)[1]

        def step(number: Any, *values: Any) -> Any:
            numbers = orders[:, number * size : tf.minimum((number + 1) * size, rows)]
            batch = tf.nest.map_structure(lambda tensor: tf.gather(tensor, numbers), data)
            return (number + 1, *self._train_step(values, batch))

        return self._loop(step, state, first, last)

    def _test_steps(self, state: State, rows: Any, first: Any, last: Any, data: Any) -> State:
        size, count = self._sizes[1], tf.shape(state[0])[0]

        def step(number: Any, *values: Any) -> Any:
            begin, end = number * size, tf.minimum((number + 1) * size, rows)
            # Not tf.repeat, which has no kernel for uint16.
            batch = tf.nest.map_structure(
                lambda tensor: tf.gather(tensor[None, begin:end], tf.zeros([count], tf.int32)), data
            )
            stack = Stack(self.variables, values, self.scalars)
            self._measure(stack, batch, training=False)
            return (number + 1, *stack.get(self.variables))

        return self._loop(step, state, first, last)

    def _loop(self, step: Any, state: State, first: Any, last: Any) -> State:
        shapes = [tf.TensorShape((None, *shape)) for shape in self._shapes]
        _, *state = tf.while_loop(
            lambda number, *_: number < last,
            step,
            (first, *state),
            shape_invariants=(first.shape, *shapes),
            parallel_iterations=1,
        )
        return state

    def _train_step(self, values: Sequence[Any], batch: Any) -> State:
        stack = Stack(self.variables, values, self.scalars)
        trained = self._model.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            sources = stack.get(trained)
            tape.watch(sources)
            stack.watch = tape.watch
            with tracing():
                loss = self._measure(stack, batch, training=True)
                loss = self._model.optimizer.scale_loss(loss)  # its update divides by the scale
        sparse = {
            id(variable): (rows, gathered_rows) for variable, rows, gathered_rows in stack.gathered
        }
        sources = [
            sparse[id(v)][1] if id(v) in sparse else source
            for v, source in zip(trained, sources, strict=True)
        ]
        gradients = tape.gradient(loss, sources)
        packed = [
            (sparse[id(v)][0], gradient) if id(v) in sparse and gradient is not None else gradient
            for v, gradient in zip(trained, gradients, strict=True)
        ]
        optimizer.apply(self._model.optimizer, stack, [*self.weights, *self.optimizer], packed)
        return stack.get(self.variables)

    def _measure(self, stack: Stack, batch: Any, *, training: bool) -> Any:
        """The losses of a batch, shape (K,); updates the metrics in the stack."""
        model = self._model
        x, *rest = batch
        predicted = graph.run(model, stack, x, training=training)
        rows = tf.shape(tf.nest.flatten(x)[0])[1]
        y, weight = (*rest, None, None)[:2]

        def measure_model(tensors: Any) -> Any:
            y_pred, y_true, weights = tensors["pred"], tensors.get("y"), tensors.get("weight")
            graph.carry(y_pred, tensors["carried"])
            loss = model._compute_loss(
                x=None, y=y_true, y_pred=y_pred, sample_weight=weights, training=training
            )
            model._loss_tracker.update_state(loss, sample_weight=rows)
            if model._compile_metrics is not None:
                model.compute_metrics(None, y_true, y_pred, sample_weight=weights)
            return loss

        carried = graph.carried(predicted)
        tensors = {"pred": predicted, "carried": carried, "y": y, "weight": weight}
        present = {name: value for name, value in tensors.items() if value is not None}
        return stack.mapped(measure_model, [*model.trainable_variables, *self.metrics], present)

    def _result(self, state: State) -> dict[str, Any]:
        stack = Stack(self.variables, state)
        return dict(stack.mapped(self._model.get_metrics_result, self.metrics))
