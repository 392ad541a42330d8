"""KerasTuner's grid search over learning rates and seeds, in one process as is its default."""

from __future__ import annotations

import itertools
import tempfile
from typing import Any

import keras_tuner
import workload


class Model(keras_tuner.HyperModel):  # type: ignore[misc]
    """The model of the task, by its point."""

    def __init__(self, task: workload.Task, arrays: workload.Arrays) -> None:
        super().__init__()
        self.task, self.arrays = task, arrays
        self.losses: dict[tuple[float, int], list[float]] = {}

    def build(self, hp: Any) -> Any:
        """A compiled model."""
        rates = sorted({point["learning_rate"] for point in self.task.points})
        seeds = sorted({point["seed"] for point in self.task.points})
        rate, seed = hp.Choice("learning_rate", rates), hp.Choice("seed", seeds)
        # It does not seed the initial weights itself.
        return workload.compiled(self.task.model, {"learning_rate": rate, "seed": seed})

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Keras's fit with the arguments that the tuner adds."""
        history = workload.fitted(self.task.model, model, self.arrays, **kwargs)
        key = (hp.get("learning_rate"), hp.get("seed"))
        self.losses[key] = history.history["loss"]
        return history


if __name__ == "__main__":
    task = workload.task()
    model = Model(task, workload.load(task.data))
    rates = {point["learning_rate"] for point in task.points}
    seeds = {point["seed"] for point in task.points}
    if len(list(itertools.product(rates, seeds))) != len(task.points):
        raise SystemExit("the points are no grid: give a number of them that 4 divides")
    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.GridSearch(
            model, objective="val_loss", max_trials=len(task.points), directory=folder
        )
        tuner.search(verbose=0)
    losses = [model.losses[point["learning_rate"], point["seed"]] for point in task.points]
    versions = workload.versions() | {"keras-tuner": keras_tuner.__version__}
    task.report(losses, versions=versions)
