"""Population-based training on handwritten digits: rates and dropout that change on the way.

Six models are trained for two epochs; then the worst take over from the best, with other
hyperparameters, and all go on. The lineage says who continued whom.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sweep_digits
from runner import EXAMPLES

import fitfleet as ff


def arguments(folder: Path, **changes: Any) -> dict[str, Any]:
    """What `fleet.sweep` gets: data and loss of the digits' search, a population of its own."""
    known = sweep_digits.arguments(folder)
    shared = {name: known[name] for name in ("dataset", "loss", "metrics", "batch_size")}
    dropout = ff.uniform(0, 0.5)
    sweep = {
        **shared,
        "model": ff.builder("models:stacked_lstm", units=16, dropout=dropout),
        "optimizer": {"RMSprop": {"learning_rate": ff.log_uniform(1e-4, 3e-2)}},
        "epochs": 8,
        "experiment": "digits-pbt",
        "objective": "val_loss",
        "search": ff.pbt(population=6, perturbation_interval=2),
        "seed": 1,
    }
    return {**sweep, **changes}


def main(directory: str = ".fitfleet") -> ff.Sweep:
    """Run, compare, and tell the life of the best model."""
    folder = Path(directory) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    with ff.local(workers=2, directory=directory, module_path=(str(EXAMPLES),)) as fleet:
        sweep = fleet.sweep(**arguments(folder)).run()
        print(sweep.compare(top=6).to_string())
        columns = ["generation", "member", "job_id", "parent_member", "params"]
        print(sweep.best.lineage[columns].to_string(index=False))
    return sweep


if __name__ == "__main__":
    main()
