"""The metrics of a compiled Keras model in a traced program."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from fitfleet.worker.keras_private import CompileMetrics
from fitfleet.worker.logs import Logs, flat


class ProgramMetrics:
    """Resets and reads metrics: inside the program if all are means, which takes fewer calls.

    `loops`: many steps may be one call, in a loop inside the graph, as the job is known to have the
    same numbers there (proven_classes.py). Otherwise a step is a call.
    """

    def __init__(self, model: Any, *, loops: bool) -> None:
        self._model = model
        # Inside a loop TensorFlow does not see the shapes of variables, so it rewrites sums and
        # products otherwise than outside of one, as in `fit`.
        self.loops = loops
        self._are_inside = self.loops and _are_means(model)

    def begin(self) -> None:
        """Reset the metrics before the first call of an epoch."""
        if not self._are_inside:
            self._model.reset_metrics()

    def begin_inside(self, first: Any) -> None:
        """Reset the metrics before the first step of an epoch; in the graph."""
        if self._are_inside:
            for variable in self._model.metrics_variables:
                value = variable.value
                variable.assign(tf.where(first == 0, tf.zeros_like(value), value))

    def results_inside(self) -> dict[str, Any]:
        """The values of the metrics after a call; in the graph."""
        return dict(self._model.get_metrics_result()) if self._are_inside else {}

    def logs(self, outputs: dict[str, Any]) -> Logs:
        """The logs of an epoch; `outputs` are the values that its last call returned."""
        results = outputs if self._are_inside else self._model.get_metrics_result()
        return flat(results)


def _are_means(model: Any) -> bool:
    """Whether each metric is a keras.metrics.Mean, with the same bits in a graph.

    The arithmetic of others TensorFlow may rewrite in a graph, and so change their last bits.
    """
    mean = keras.metrics.Mean
    return all(
        type(metric).result is mean.result and type(metric).reset_state is mean.reset_state
        for compiled in model.metrics
        for metric in (compiled.metrics if isinstance(compiled, CompileMetrics) else [compiled])
    )
