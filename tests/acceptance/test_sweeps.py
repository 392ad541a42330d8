"""Sweeps on a real fleet: the examples in a small size, a driver that is killed, the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
                layers.LSTM(ff.choice([4, 8, 12])),
                layers.Dense(10, activation="softmax"),
            ]),
            dataset=sys.argv[2],
            optimizer={"Adam": {"learning_rate": ff.log_uniform(1e-4, 1e-1)}},
            loss="categorical_crossentropy", metrics=["accuracy"], batch_size=64, epochs=2,
            experiment="killed", objective="val_loss", search="tpe", trials=9, seed=5,
            max_running=1,
        ).run()
"""


@pytest.fixture(scope="module")
def examples() -> Iterator[None]:
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def fleet(folder: Path) -> Iterator[ff.Fleet]:
    with ff.local(workers=2, directory=folder / "fleet") as fleet:
        yield fleet


@pytest.fixture(scope="module")
def searched(fleet: ff.Fleet, folder: Path, examples: None) -> ff.Sweep:
    """The digits example with few trials and epochs."""
    import sweep_digits

    small = {"trials": 5, "repeats": 2, "epochs": 3}
    return fleet.sweep(**sweep_digits.arguments(folder, **small)).run(timeout_s=280)


@pytest.mark.slow
def test_the_digits_example(searched: ff.Sweep, folder: Path) -> None:
    import sweep_digits

    progress = searched.progress
    assert progress.is_done and progress.complete + progress.pruned == 5 and progress.complete
    table = searched.compare()
    assert table["verdict"][0] == "best" and table["n"][0] == 2
    assert table["low"][0] < table["mean"][0] < table["high"][0]
    best = searched.best
    assert best.params == searched.best_params
    assert best.weights()
    for path in sweep_digits.draw(searched, folder):
        assert path.stat().st_size > 10_000


@pytest.mark.slow
def test_the_plan_shows_what_was_run(searched: ff.Sweep) -> None:
    plan = searched.plan()
    assert plan.is_sample and plan.is_built
    known = [point for point in plan.points if point.reused == 2]
    assert len(known) == 5 and all(point.seconds for point in known)


@pytest.mark.slow
def test_the_forecasting_example(fleet: ff.Fleet, folder: Path, examples: None) -> None:
    import forecasting_repeats

    arguments = forecasting_repeats.arguments(folder, repeats=3, epochs=2)
    sweep = fleet.sweep(**arguments).run(timeout_s=200)
    table = sweep.compare()
    assert list(table["n"]) == [3, 3] and set(table["stateful"]) == {False, True}
    assert set(table["verdict"]) <= {"best", "tie", "worse"} and table["test"][1] == "t"
    assert sweep.plot.box(folder / "box.png").stat().st_size > 10_000


@pytest.mark.slow
def test_folds_are_trained_on_their_own_rows(fleet: ff.Fleet, digits: Path) -> None:
    layers = ff.layers
    sweep = fleet.sweep(
        model=ff.Sequential(
            [
                layers.Input((8, 8)),
                layers.Flatten(),
                layers.Dense(ff.choice([2, 16]), activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        ),
        dataset=str(digits),
        optimizer="adam",
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        epochs=3,
        experiment="folds",
        objective="val_accuracy",
        search="grid",
        folds=3,
    ).run(timeout_s=200)
    assert sweep.progress.complete == 2 and len(sweep.jobs()) == 6
    values = sweep.export.to_pandas()
    assert values.groupby("units")["val_accuracy"].nunique().max() > 1
    assert sweep.best_params == {"units": 16}


def points(sweep: ff.Sweep) -> list[dict[str, Any]]:
    columns = [
        name for name in sweep.trials().columns if name in ("units", "optimizer.learning_rate")
    ]
    return sweep.trials()[columns].to_dict("records")


@pytest.mark.slow
def test_a_killed_driver_is_followed_from_elsewhere(digits: Path, tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script)]
    calm, shot = tmp_path / "calm", tmp_path / "shot"
    subprocess.run([*command, str(calm), str(digits)], check=True, timeout=250)
    driver = subprocess.Popen([*command, str(shot), str(digits)])
    try:
        elsewhere = _connected(shot)
        deadline = time.monotonic() + 120
        while _asked(elsewhere) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert 4 <= elsewhere.resume_sweep("killed").progress.trials < 9
    elsewhere.close()
    with ff.local(workers=2, directory=shot) as fleet:
        sweep = fleet.resume_sweep("killed").run(timeout_s=200)
        resumed, jobs = points(sweep), sweep.jobs()
        losses = [float(job.history["val_loss"].iloc[-1]) for job in jobs]
    undisturbed = ff.connect(database_url=f"sqlite:///{calm / 'fleet.db'}")
    expected = undisturbed.resume_sweep("killed")
    assert resumed == points(expected)
    assert len({job.id for job in jobs}) == len(jobs) == 9
    assert losses == [float(job.history["val_loss"].iloc[-1]) for job in expected.jobs()]
    undisturbed.close()


def _connected(directory: Path) -> ff.Fleet:
    deadline = time.monotonic() + 60
    while True:
        try:
            return ff.connect(database_url=f"sqlite:///{directory / 'fleet.db'}")
        except ff.FitfleetError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _asked(fleet: ff.Fleet) -> int:
    try:
        return fleet.resume_sweep("killed").progress.trials
    except ff.FitfleetError:
        return 0


SWEEP = """
model:
  Sequential:
    - Input: {shape: [8, 8]}
    - Flatten: {}
    - Dense: {units: {choice: [4, 8]}, activation: relu}
    - Dense: {units: 10, activation: softmax}
dataset: digits.h5
loss: categorical_crossentropy
optimizer: adam
epochs: 2
search: grid
repeats: 2
experiment: written
objective: val_loss
"""


def fitfleet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fitfleet", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)


@pytest.mark.slow
def test_a_sweep_file_runs_by_the_command_line(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "digits.h5").write_bytes(digits.read_bytes())
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    here = ["--directory", ".fitfleet"]
    planned = json.loads(fitfleet(tmp_path, "plan", "sweep.yaml", "--json", *here).stdout)
    assert planned["jobs"] == 4 and len(planned["points"]) == 2
    run = fitfleet(tmp_path, "run", "sweep.yaml")
    assert run.returncode == 0, run.stderr
    assert "best mean val_loss first" in run.stdout
    again = json.loads(fitfleet(tmp_path, "run", "sweep.yaml", "--json").stdout)
    assert again["complete"] == 2 and len(again["ranking"]) == 2
    listed = json.loads(fitfleet(tmp_path, "sweeps", "--json", *here).stdout)
    assert [row["sweep"] for row in listed] == ["written"] and listed[0]["is_done"]
    ranked = json.loads(
        fitfleet(tmp_path, "rank", "written", "--by", "units", "--json", *here).stdout
    )
    assert {row["units"] for row in ranked} == {4, 8}
    drawn = fitfleet(tmp_path, "plot", "written", "box", "box.html", *here)
    assert drawn.returncode == 0 and (tmp_path / "box.html").exists()
    written = fitfleet(tmp_path, "export-runs", "written", "csv", "runs.csv", *here)
    assert written.returncode == 0 and len((tmp_path / "runs.csv").read_text().splitlines()) == 5
    dry = json.loads(fitfleet(tmp_path, "gc", "--best", "1", "--dry-run", "--json", *here).stdout)
    assert len(dry["files"]) >= 3 and dry["size_bytes"] > 0
    gone = fitfleet(tmp_path, "gc", "--best", "1", *here)
    assert "bytes gone" in gone.stdout
    refused = fitfleet(tmp_path, "plot", "written", "pie", "box.html", *here)
    assert refused.returncode == 2 and "there are curves" in refused.stderr


def test_a_plan_of_nothing_but_refusals_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    result = fitfleet(tmp_path, "plan", "sweep.yaml", "--directory", ".fitfleet")
    assert result.returncode == 2 and "2 points refused" in result.stdout
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("val_loss", "val_los"))
    (tmp_path / "digits.h5").write_text("")
    result = fitfleet(tmp_path, "plan", "sweep.yaml", "--directory", ".fitfleet")
    assert result.returncode == 2 and "Traceback" not in result.stderr
