"""Ray Tune: a grid over the points, one core a trial, actors reused (its quickest way)."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import ray
import workload
from ray import tune


class Trial(tune.Trainable):  # type: ignore[misc]
    """One fit."""

    def setup(self, config: dict[str, Any]) -> None:
        """Called once in each actor."""
        self.arrays = workload.load(config["data"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The actor takes the next trial."""
        return True

    def step(self) -> dict[str, Any]:
        """The whole fit."""
        losses = workload.fit(self.config["model"], self.config["point"], self.arrays)
        return {"losses": losses, "loss": losses[-1], "done": True}


if __name__ == "__main__":
    task = workload.task()
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    space = {"point": tune.grid_search(task.points), "model": task.model, "data": task.data}
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            Trial,
            param_space=space,
            tune_config=tune.TuneConfig(
                reuse_actors=True, max_concurrent_trials=2, metric="loss", mode="min"
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        by_point = {
            (r.config["point"]["learning_rate"], r.config["point"]["seed"]): r.metrics["losses"]
            for r in results
        }
        losses = [by_point[point["learning_rate"], point["seed"]] for point in task.points]
        ended_at = time.time()  # the versions import TensorFlow here
        versions = workload.versions() | {"ray": ray.__version__}
        task.report(losses, versions=versions, ended_at=ended_at)
    ray.shutdown()
