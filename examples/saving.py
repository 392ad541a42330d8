"""What stays of a fit: its weights, the whole model in HDF5 or .keras, and its architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlp import jobs as mlp_jobs
from runner import main

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """The MLP once more, in an experiment of its own."""
    return [{**job, "experiment": "saving"} for job in mlp_jobs(folder)]


def save(job: ff.Job, folder: Path) -> list[Path]:
    """Write a finished job in every form that Keras reads; returns the four paths.

    `.weights.h5` for `model.load_weights`, `.keras` and `.h5` for `keras.models.load_model`,
    `.json` for `keras.models.model_from_json`. Without TensorFlow at hand there is
    `job.weights()`: NumPy arrays by name.
    """
    names = ("mlp.weights.h5", "mlp.keras", "mlp.h5", "mlp.json")
    return [job.export(folder / name) for name in names]


if __name__ == "__main__":
    finished = main(jobs)[0]
    for name, array in finished.weights().items():
        print(name, array.shape)
    for path in save(finished, Path(".fitfleet")):
        print(path)
