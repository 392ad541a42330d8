"""The script that users start from, as a process of its own, run twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json
import fitfleet as ff

with ff.local(workers=2) as fleet:
    jobs = [
        fleet.submit(
            model=ff.Sequential([
                ff.layers.Input((8, 8)),
                ff.layers.LSTM(units, return_sequences=True),
                ff.layers.LSTM(units),
                ff.layers.Dense(10, activation="softmax")]),
            dataset="digits.h5",
            optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"],
            batch_size=64, epochs=3, seed=0, experiment="digits", params={"units": units})
        for units in (4, 8, 16)]
    fleet.wait(jobs)
    table = fleet.compare("digits")
    best = fleet.best("digits")
    print(json.dumps({
        "reused": [job.is_reused for job in jobs],
        "status": [job.status for job in jobs],
        "columns": list(table.columns),
        "val_loss": list(table["val_loss"]),
        "units": [int(units) for units in table["units"]],
        "best": best.id,
        "first": int(table["job"][0]),
        "history": list(best.history.columns),
        "epochs": len(best.history),
        "scores": sorted(best.scores),
        "weights": {name: list(array.shape) for name, array in best.weights().items()},
        "parameters": best.load_model().count_params(),
    }))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> list[dict[str, object]]:
    """What the script printed, the first and the second time."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "digits.h5").write_bytes(digits.read_bytes())
    (folder / "sweep.py").write_text(SCRIPT)
    printed = []
    for _ in range(2):
        process = subprocess.run(
            [sys.executable, "sweep.py"], cwd=folder, capture_output=True, text=True, timeout=200
        )
        assert process.returncode == 0, process.stderr
        assert len(process.stdout.splitlines()) == 1, "a pipe is quiet"
        printed.append(json.loads(process.stdout))
    return printed


def test_all_jobs_are_done_and_compared_best_first(runs: list[dict[str, object]]) -> None:
    first = runs[0]
    assert first["status"] == ["SUCCEEDED"] * 3
    assert first["val_loss"] == sorted(first["val_loss"])  # type: ignore[type-var,call-overload]
    assert sorted(first["units"]) == [4, 8, 16]  # type: ignore[call-overload]
    assert first["best"] == first["first"]


def test_history_scores_weights_and_model_are_there(runs: list[dict[str, object]]) -> None:
    first = runs[0]
    assert first["history"] == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert first["epochs"] == 3
    assert set(first["scores"]) >= {"test_loss", "test_accuracy"}  # type: ignore[call-overload]
    sizes = [shape for shape in first["weights"].values()]  # type: ignore[attr-defined]
    assert len(sizes) == 8
    assert isinstance(first["parameters"], int)


def test_the_second_run_reuses_everything(runs: list[dict[str, object]]) -> None:
    first, second = runs
    assert first["reused"] == [False] * 3
    assert second["reused"] == [True] * 3
    assert second["val_loss"] == first["val_loss"]
