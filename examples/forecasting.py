"""Stateful against stateless LSTM on a monthly series, with repeats over seeds.

The case of the notes' reading list: monthly sales of shampoo over three years (Makridakis,
Wheelwright and Hyndman, 1998), the change of one month predicts the change of the next. One run
says little: each kind runs with several seeds, and `fleet.compare` shows mean and spread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from runner import main, write_arrays

import fitfleet as ff

# fmt: off
SALES = [
    266.0, 145.9, 183.1, 119.3, 180.3, 168.5, 231.8, 224.5, 192.8, 122.9, 336.5, 185.9,
    194.3, 149.5, 210.1, 273.3, 191.4, 287.0, 226.0, 303.6, 289.9, 421.6, 264.5, 342.3,
    339.7, 440.4, 315.9, 439.3, 401.3, 437.4, 575.5, 407.6, 682.0, 475.3, 581.3, 646.9,
]
# fmt: on
TEST_MONTHS = 12


def supervised() -> tuple[np.ndarray, np.ndarray]:
    """Changes scaled to -1..1 by the training months: x, shape (34, 1, 1), and y, (34, 1)."""
    change = np.diff(np.array(SALES, "float32"))
    low, high = change[:-TEST_MONTHS].min(), change[:-TEST_MONTHS].max()
    scaled = 2 * (change - low) / (high - low) - 1
    return scaled[:-1, None, None], scaled[1:, None]


def jobs(folder: Path, repeats: int = 2, epochs: int = 3) -> list[dict[str, Any]]:
    """`repeats` fits of each kind, tested on the last twelve months."""
    x, y = supervised()
    dataset = write_arrays(
        folder / "sales.h5",
        x_train=x[:-TEST_MONTHS],
        y_train=y[:-TEST_MONTHS],
        x_test=x[-TEST_MONTHS:],
        y_test=y[-TEST_MONTHS:],
    )
    return [
        {
            "model": ff.Sequential(
                [
                    ff.layers.Input((1, 1), batch_size=1),
                    ff.layers.LSTM(4, stateful=is_stateful),
                    ff.layers.Dense(1),
                ]
            ),
            "dataset": ff.Dataset(
                dataset, x="x_train", y="y_train", x_test="x_test", y_test="y_test"
            ),
            "loss": "mse",
            "optimizer": "adam",
            "batch_size": 1,
            "epochs": epochs,
            "shuffle": False,
            "seed": seed,
            "experiment": "forecasting",
            "params": {"kind": "stateful" if is_stateful else "stateless"},
        }
        for is_stateful in (False, True)
        for seed in range(repeats)
    ]


if __name__ == "__main__":
    main(lambda folder: jobs(folder, repeats=10, epochs=100))
