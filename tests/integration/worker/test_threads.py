"""The threads of TensorFlow change last bits, so they are what the setting says and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import fitfleet as ff


@pytest.fixture
def images(tmp_path: Path) -> str:
    """Sixty-four images of noise, and a number for each."""
    path = tmp_path / "images.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["x"] = rng.normal(size=(64, 28, 28, 3)).astype("float32")
        file["y"] = rng.normal(size=(64, 1)).astype("float32")
    return str(path)


def _weights_by(folder: Path, job: dict[str, Any], slots: str, threads: str) -> list[np.ndarray]:
    """What a worker service with so many slots and threads makes of the job."""
    with ff.local(0, folder) as fleet:
        command = [sys.executable, "-m", "fitfleet", "worker"]
        command += ["--slots", slots, "--threads", threads]
        environment = {**os.environ, **fleet.settings.to_environment()}
        service = subprocess.Popen(command, env=environment)
        try:
            done = fleet.submit(**job).wait(120, raise_on_failure=True)
        finally:
            service.terminate()
            service.wait()
        return [np.asarray(array) for array in done.load_model().get_weights()]


def _are_equal(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.slow
def test_a_job_has_the_same_bits_beside_another_slot(tmp_path: Path, images: str) -> None:
    # Eigen adds the parts of a filter's gradient in an order that depends on the threads.
    layers: list[Any] = [ff.layers.Input((28, 28, 3)), ff.layers.Conv2D(8, 3), ff.layers.Flatten()]
    job: dict[str, Any] = {
        "model": ff.Sequential([*layers, ff.layers.Dense(1)]),
        "dataset": ff.Dataset(images, x="x", y="y"),
        "optimizer": "sgd",
        "loss": "mse",
        "batch_size": 16,
        "epochs": 2,
        "seed": 1,
    }
    weights = {
        options: _weights_by(tmp_path / f"fleet-{number}", job, *options)
        for number, options in enumerate([("1", "4"), ("2", "4"), ("1", "1")])
    }
    assert _are_equal(weights["1", "4"], weights["2", "4"])
    assert not _are_equal(weights["1", "4"], weights["1", "1"])
