"""Every recurrent layer of Keras, each in a model of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

STEPS = 4


def recurrent() -> dict[str, tuple[str, list[Any]]]:
    """Name: the array that feeds it, and the layers up to a flat output."""
    layers = ff.layers
    return {
        "SimpleRNN": ("series", [layers.SimpleRNN(4)]),
        "GRU": ("series", [layers.GRU(4)]),
        "LSTM": ("series", [layers.LSTM(4, recurrent_dropout=0.2)]),
        "RNN": ("series", [layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)])]),
        "Bidirectional": ("series", [layers.Bidirectional(layers.LSTM(4))]),
        "TimeDistributed": (
            "series",
            [layers.TimeDistributed(layers.Dense(4)), layers.Flatten()],
        ),
        "ConvLSTM1D": ("lines", [layers.ConvLSTM1D(2, 3, padding="same"), layers.Flatten()]),
        "ConvLSTM2D": ("images", [layers.ConvLSTM2D(2, 3, padding="same"), layers.Flatten()]),
        "ConvLSTM3D": ("volumes", [layers.ConvLSTM3D(2, 3, padding="same"), layers.Flatten()]),
    }


def jobs(folder: Path) -> list[dict[str, Any]]:
    """A fit a layer: the mean of a row's last step from its steps."""
    random = np.random.default_rng(0)
    arrays = {
        "series": random.random((48, STEPS, 3)),
        "lines": random.random((48, STEPS, 5, 1)),
        "images": random.random((48, STEPS, 4, 4, 1)),
        "volumes": random.random((48, STEPS, 3, 3, 3, 1)),
    }
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    means = {
        f"{name}_mean": array[:, -1].reshape(48, -1).mean(axis=1, keepdims=True)
        for name, array in arrays.items()
    }
    dataset = write_arrays(folder / "recurrent.h5", **arrays, **means)
    return [
        {
            "model": ff.Sequential(
                [ff.layers.Input(arrays[array].shape[1:]), *layers, ff.layers.Dense(1)]
            ),
            "dataset": ff.Dataset(dataset, x=array, y=f"{array}_mean"),
            "loss": "mse",
            "optimizer": "adam",
            "batch_size": 16,
            "epochs": 2,
            "experiment": "recurrent-layers",
            "params": {"layer": name},
        }
        for name, (array, layers) in recurrent().items()
    ]


if __name__ == "__main__":
    main(jobs)
