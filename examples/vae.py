"""A variational autoencoder with its own training step, by a builder that the workers trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner import main, write_arrays
from sklearn.datasets import load_digits

import fitfleet as ff


def jobs(folder: Path) -> list[dict[str, Any]]:
    """One fit without labels: y is x."""
    pixels = (load_digits().data[:256] / 16.0).astype("float32")
    dataset = write_arrays(folder / "vae.h5", x=pixels)
    return [
        {
            "model": ff.builder("own_networks:vae", features=64, latent=2),
            "dataset": ff.Dataset(dataset, x="x", y="x"),
            "loss": "mse",  # of an evaluation; the training step has its own
            "optimizer": "adam",
            "epochs": 3,
            "experiment": "vae",
        }
    ]


if __name__ == "__main__":
    main(jobs)
