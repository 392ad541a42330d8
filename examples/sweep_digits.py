"""A search with repeats on handwritten digits: planned, pruned, compared with intervals, drawn.

Each point is trained with three seeds. Hyperband ends what is hopeless; the comparison says which
configurations a paired test cannot tell from the best one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner import EXAMPLES, one_hot, write_arrays
from sklearn.datasets import load_digits

import fitfleet as ff


def arguments(folder: Path, **changes: Any) -> dict[str, Any]:
    """What `fleet.sweep` gets: images of 8 x 8 points, read as 8 steps of 8 features."""
    digits = load_digits()
    images = (digits.images / 16).astype("float32")
    labels = one_hot(digits.target, 10)
    dataset = write_arrays(
        folder / "digits.h5",
        x_train=images[:1300],
        y_train=labels[:1300],
        x_val=images[1300:],
        y_val=labels[1300:],
    )
    units, dropout = ff.choice([16, 32, 64]), ff.uniform(0, 0.5)
    sweep = {
        "model": ff.builder("models:stacked_lstm", units=units, dropout=dropout),
        "dataset": dataset,
        "optimizer": {"RMSprop": {"learning_rate": ff.log_uniform(1e-4, 3e-2)}},
        "loss": "categorical_crossentropy",
        "metrics": ["accuracy"],
        "batch_size": 64,
        "epochs": 9,
        "experiment": "digits-tpe",
        "objective": "val_loss",
        "direction": "minimize",
        "search": "tpe",
        "trials": 20,
        "repeats": 3,
        "pruner": {"name": "hyperband", "reduction_factor": 3},
        "seed": 1,
    }
    return {**sweep, **changes}


def draw(sweep: ff.Sweep, folder: Path) -> list[Path]:
    """Every picture of the sweep."""
    return [
        sweep.plot.curves(folder / "curves.png"),
        sweep.plot.parallel_coordinates(folder / "parallel_coordinates.html"),
        sweep.plot.slice(folder / "slice.png"),
        sweep.plot.importance(folder / "importance.png"),
        sweep.plot.box(folder / "box.png"),
        sweep.plot.timeline(folder / "timeline.png"),
    ]


def main(directory: str = ".fitfleet") -> ff.Sweep:
    """Plan, run, compare, draw."""
    folder = Path(directory) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with ff.local(workers=2, directory=directory, module_path=(str(EXAMPLES),)) as fleet:
        sweep = fleet.sweep(**arguments(folder))
        print(sweep.plan())
        sweep.run()
        print(sweep.compare(top=10).to_string())
        for path in draw(sweep, Path(directory)):
            print(path)
    return sweep


if __name__ == "__main__":
    main()
