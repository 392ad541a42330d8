"""What stays of a fit: its weights, the whole model in HDF5 or .keras, and its architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
from mlp import jobs as mlp_jobs
from runner import main

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """The MLP once more, in an experiment of its own."""
    return [{**job, "experiment": "saving"} for job in mlp_jobs(folder)]


def save(job: ff.Job, folder: Path) -> dict[str, Path]:
    """Every form in which a finished job can be taken out; none but `weights` needs a worker.

    `model.load_weights` opens the weights file, `keras.models.load_model` the other two.
    """
    paths = {name: folder / f"mlp.{name}" for name in ("weights.h5", "keras", "h5", "json")}
    with h5py.File(paths["weights.h5"], "w") as file:  # NumPy arrays, no TensorFlow
        for name, array in job.weights().items():
            file[name] = array
    job.export(paths["keras"])
    job.export(paths["h5"])
    paths["json"].write_text(job.load_model().to_json())
    return paths


if __name__ == "__main__":
    for path in save(main(jobs)[0], Path()).values():
        print(path)
