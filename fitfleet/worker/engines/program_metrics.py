"""The metrics of a compiled Keras model in a traced program."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from fitfleet.worker.engines.engine import Logs, floats
from fitfleet.worker.keras_private import CompileMetrics


class ProgramMetrics:
    """Resets and reads the metrics inside the program where all are means, which takes fewer calls.

    `loops` says whether many steps may be one call, in a loop inside the graph: where the job is
    known to be computed there as outside of one (proven_classes.py). Otherwise a step is a call.
    """

    def __init__(self, model: Any, *, loops: bool) -> None:
        self._model = model
        # TensorFlow does not see the shapes of variables inside a loop, and rewrites sums and
        # products that it would rewrite outside, as in `fit`, otherwise or not at all.
        self.loops = loops
        self._are_inside = self.loops and _are_means(model)

    def begin(self) -> None:
        """Before an epoch's first call."""
        if not self._are_inside:
            self._model.reset_metrics()

    def begin_inside(self, first: Any) -> None:
        """Metrics as `reset_metrics` leaves them, before an epoch's first step; in the graph."""
        if self._are_inside:
            for variable in self._model.metrics_variables:
                value = variable.value
                variable.assign(tf.where(first == 0, tf.zeros_like(value), value))

    def results_inside(self) -> dict[str, Any]:
        """What a call gives of the metrics; in the graph."""
        return dict(self._model.get_metrics_result()) if self._are_inside else {}

    def logs(self, outputs: dict[str, Any]) -> Logs:
        """The logs of an epoch; `outputs` is what its last call gave."""
        results = outputs if self._are_inside else self._model.get_metrics_result()
        return floats(results)


def _are_means(model: Any) -> bool:
    """Whether every metric is Keras's sum over its count, which a graph divides as Keras does.

    Of others TensorFlow may rewrite the arithmetic in a graph, and with it their last bits.
    """
    mean = keras.metrics.Mean
    return all(
        type(metric).result is mean.result and type(metric).reset_state is mean.reset_state
        for compiled in model.metrics
        for metric in (compiled.metrics if isinstance(compiled, CompileMetrics) else [compiled])
    )
