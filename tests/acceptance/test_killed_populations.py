"""Population-based training on real fleets: its driver and its workers killed, the example."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitfleet as ff

EXAMPLES = Path(__file__).parents[2] / "examples"

DRIVER = """
import sys
import fitfleet as ff

if __name__ == "__main__":
    with ff.local(workers=2, directory=sys.argv[1]) as fleet:
        layers = ff.layers
        fleet.sweep(
            model=ff.Sequential([
                layers.Input((8, 8)),
                layers.LSTM(8),
                layers.Dropout(ff.uniform(0.0, 0.5)),
                layers.Dense(10, activation="softmax"),
            ]),
            dataset=sys.argv[2],
            optimizer={"Adam": {"learning_rate": ff.log_uniform(1e-4, 1e-1)}},
            loss="categorical_crossentropy", metrics=["accuracy"], batch_size=64, epochs=8,
            experiment="killed", objective="val_loss", seed=5,
            search=ff.pbt(population=4, perturbation_interval=2),
        ).run()
"""


def trials_of(directory: Path) -> int:
    try:
        with ff.connect(database_url=f"sqlite:///{directory / 'fleet.db'}") as fleet:
            return fleet.resume_sweep("killed").progress.trials
    except ff.FitfleetError:
        return 0


def grown(fleet: ff.Fleet) -> list[tuple[Any, ...]]:
    """Of every member of every generation whom it continues, with what, and what it came to."""
    sweep = fleet.resume_sweep("killed")
    table, jobs = sweep.lineage(), sweep.jobs()
    assert table["job_id"].tolist() == [job.id for job in jobs]
    lives = table[["generation", "member", "parent_member", "params"]].astype(object)
    curves = [tuple(job.history.to_numpy().ravel().tolist()) for job in jobs]
    return [(*life, curve) for life, curve in zip(lives.to_numpy().tolist(), curves, strict=True)]


@pytest.mark.slow
def test_a_killed_sweep_resumed_elsewhere_is_the_same(digits: Path, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script)]
    calm, shot = tmp_path / "calm", tmp_path / "shot"
    subprocess.run([*command, str(calm), str(digits)], check=True, timeout=280)
    driver = subprocess.Popen([*command, str(shot), str(digits)])
    try:
        deadline = time.monotonic() + 200
        while trials_of(shot) < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        os.kill(driver.pid, signal.SIGKILL)  # its workers end with it
        driver.wait()
    assert 8 <= trials_of(shot) < 16
    with ff.local(workers=1, directory=shot) as fleet:
        fleet.resume_sweep("killed").run(timeout_s=250)
        resumed = grown(fleet)
        weights = [job.weights() for job in fleet.resume_sweep("killed").jobs()]
    with ff.connect(database_url=f"sqlite:///{calm / 'fleet.db'}", storage=calm / "storage") as f:
        assert resumed == grown(f)
        for left, job in zip(weights, f.resume_sweep("killed").jobs(), strict=True):
            for name, right in job.weights().items():
                np.testing.assert_array_equal(left[name], right)


@pytest.mark.slow
def test_the_population_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    import population_digits

    search = ff.pbt(population=4, perturbation_interval=1)
    arguments = population_digits.arguments(tmp_path, epochs=3, search=search)
    with ff.local(2, tmp_path / "fleet") as fleet:
        sweep = fleet.sweep(**arguments).run(timeout_s=250)
        assert sweep.progress.complete == 12
        assert sweep.lineage()["is_exploited"].sum() == 2
        assert sweep.best.lineage["generation"].tolist()[0] == 0
        assert sweep.best.load_model() is not None
