"""What the examples share: start a fleet of two workers, submit, wait, show.

An example is a module with `jobs(folder)`: it writes its dataset into `folder` and returns the
keyword arguments of `fleet.submit`, one dictionary a job.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import fitfleet as ff

EXAMPLES = Path(__file__).parent
# Modules of this folder whose custom metrics and evaluators a worker may run.
TRUSTED = ("chorales", "note_metrics", "models", "own_networks")


def write_arrays(path: Path, **arrays: np.ndarray) -> str:
    """Write arrays into a new HDF5 file; returns its path for `dataset=`."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return str(path)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels, shape (n,), as float32 rows, shape (n, classes)."""
    return np.eye(classes, dtype="float32")[labels]


def main(
    jobs: Callable[[Path], list[dict[str, Any]]], directory: str = ".fitfleet"
) -> list[ff.Job]:
    """Run an example's jobs on two local workers, print how they compare, return the handles."""
    folder = Path(directory) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with ff.local(
        workers=2, directory=directory, trusted_modules=TRUSTED, module_path=(str(EXAMPLES),)
    ) as fleet:
        handles = [fleet.submit(**job) for job in jobs(folder)]
        fleet.wait(handles)
        for experiment in dict.fromkeys(job["experiment"] for job in jobs(folder)):
            print(fleet.compare(experiment).to_string())
        for handle in handles:
            print(f"job {handle.id}: {handle.scores}")
    return handles
