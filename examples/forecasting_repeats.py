"""Stateful against stateless forecasting, ten repeats each, as a box plot.

The experiment of the notes' reading list (monthly sales of shampoo, one month predicts the next):
one run of each kind says little, since seeds differ more than the kinds do. Ten seeds a kind, the
same in both, let a paired test say whether the kinds differ at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forecasting import TEST_MONTHS, supervised
from runner import write_arrays

import fitfleet as ff

ERROR = "test_root_mean_squared_error"


def arguments(folder: Path, repeats: int = 10, epochs: int = 100) -> dict[str, Any]:
    """What `fleet.sweep` gets: a grid of two points, `repeats` jobs each."""
    x, y = supervised()
    dataset = write_arrays(
        folder / "shampoo.h5",
        x_train=x[:-TEST_MONTHS],
        y_train=y[:-TEST_MONTHS],
        x_test=x[-TEST_MONTHS:],
        y_test=y[-TEST_MONTHS:],
    )
    return {
        "model": ff.Sequential(
            [
                ff.layers.Input((1, 1), batch_size=1),
                ff.layers.LSTM(4, stateful=ff.choice([False, True])),
                ff.layers.Dense(1),
            ]
        ),
        "dataset": ff.Dataset(dataset, x="x_train", y="y_train", x_test="x_test", y_test="y_test"),
        "loss": "mse",
        "metrics": [{"RootMeanSquaredError": {}}],
        "optimizer": "adam",
        "batch_size": 1,
        "epochs": epochs,
        "shuffle": False,
        "experiment": "forecasting-repeats",
        "objective": ERROR,
        "search": "grid",
        "repeats": repeats,
        "seed": 0,
    }


def main(directory: str = ".fitfleet") -> ff.Sweep:
    """Run all repeats, print the comparison, draw the box plot."""
    folder = Path(directory) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with ff.local(workers=2, directory=directory) as fleet:
        sweep = fleet.sweep(**arguments(folder)).run()
        print(sweep.compare().to_string())
        print(sweep.plot.box(Path(directory) / "forecasting.png"))
    return sweep


if __name__ == "__main__":
    main()
