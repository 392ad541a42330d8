"""What a fitted model predicts, and how good it is, asked of the fleet and answered in Keras's
numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import fitfleet as ff
from fitfleet.errors import DatasetError, FitfleetError, StateError
from fitfleet.states import JobStatus


@pytest.fixture(scope="module")
def other(digits: Path) -> Path:
    """Data under names of its own, with labels and weights; nothing to validate."""
    path = digits.with_name("other.h5")
    with h5py.File(digits) as source, h5py.File(path, "w") as file:
        file["x"], file["y"] = source["x_val"][:150], source["y_val"][:150]
        file["sample_weight"] = np.linspace(0.5, 2.0, 150).astype("float32")
    return path


@pytest.fixture
def fitted(fleet: ff.Fleet, job: dict[str, Any]) -> ff.Job:
    """A small model, trained once for all tests here."""
    return fleet.submit(**{**job, "experiment": "asked"}).wait(raise_on_failure=True)


def test_a_worker_evaluates_as_keras_does(fleet: ff.Fleet, fitted: ff.Job, other: Path) -> None:
    with h5py.File(other) as file:
        x, y, weight = (file[name][()] for name in ("x", "y", "sample_weight"))
    model = fitted.load_model()
    expected = model.evaluate(
        x, y, sample_weight=weight, batch_size=32, verbose=0, return_dict=True
    )
    assert fitted.evaluate(str(other), where="fleet") == expected
    assert fitted.evaluate((x, y, weight), where="fleet") == expected
    for where in ("fleet", "here"):
        as_keras = fitted.evaluate(x, y, sample_weight=weight, where=where, verbose=0)
        assert as_keras == expected
    assert fitted.evaluate(str(other), where="here") == expected
    assert set(expected) == {"loss", "accuracy"}
    asked = fleet.jobs("asked-evaluations")
    assert [job.params for job in asked] == [{"job": fitted.id, "task": "evaluate"}]
    assert asked[0].attempt == 1, "equal data are asked once, and the answer is kept"
    assert fitted.evaluate(str(other), where="fleet", batch_size=150)["loss"] == pytest.approx(
        expected["loss"]
    )
    assert len(fleet.jobs("asked-evaluations")) == 2 and asked[0].epochs == 0
    assert asked[0].scores == {f"test_{name}": value for name, value in expected.items()}
    assert {job.id for job in fleet.jobs("asked")} == {fitted.id}, "no candidate beside the fits"


def test_a_worker_predicts_as_keras_does(fitted: ff.Job, other: Path, digits: Path) -> None:
    with h5py.File(other) as file:
        x = file["x"][()]
    expected = fitted.load_model().predict(x, batch_size=32, verbose=0)
    np.testing.assert_array_equal(fitted.predict(x, where="fleet"), expected)
    np.testing.assert_array_equal(fitted.predict(str(other), where="fleet"), expected)
    np.testing.assert_array_equal(fitted.predict(other, where="here"), expected)
    for where in ("here", "fleet"):
        parts = list(fitted.predict(x, where=where, stream=True))  # type: ignore[arg-type]
        assert len(parts) > 1
        np.testing.assert_array_equal(np.concatenate(parts), expected)
    alone = digits.with_name("alone.npz")
    np.savez(alone, x=x)
    np.testing.assert_array_equal(fitted.predict(str(alone), where="fleet"), expected)


@pytest.mark.parametrize("where", ["here", "fleet"])
def test_batches_are_taken_as_arrays_are(fitted: ff.Job, other: Path, where: Any) -> None:
    with h5py.File(other) as file:
        x, y = file["x"][()], file["y"][()]
    starts = range(0, len(x), 32)
    labelled = fitted.evaluate(((x[i : i + 32], y[i : i + 32]) for i in starts), where=where)
    assert labelled == fitted.evaluate((x, y), where=where)
    predicted = fitted.predict(((x[i : i + 32],) for i in starts), where=where)
    np.testing.assert_array_equal(predicted, fitted.predict(x, where=where))


@pytest.mark.slow
def test_names_of_inputs_and_outputs_stay(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    import keras

    first, second = keras.Input((3,), name="first"), keras.Input((2,), name="second")
    both = keras.layers.Concatenate()([first, second])
    model = keras.Model(
        {"first": first, "second": second},
        {
            "low": keras.layers.Dense(2, name="low")(both),
            "high": keras.layers.Dense(1, name="high")(both),
        },
    )
    rng = np.random.default_rng(3)
    x = {"first": rng.random((40, 3), "float32"), "second": rng.random((40, 2), "float32")}
    y = {"low": rng.random((40, 2), "float32"), "high": rng.random((40, 1), "float32")}
    fitted = fleet.submit(
        model=model, dataset=(x, y), optimizer="adam", loss="mse", experiment="named"
    ).wait(raise_on_failure=True)
    predicted = fitted.predict(x, where="fleet", batch_size=16)
    expected = fitted.load_model().predict(x, verbose=0, batch_size=16)
    assert set(predicted) == {"low", "high"}
    for name, array in expected.items():
        np.testing.assert_array_equal(predicted[name], array)


def test_what_cannot_be_asked_says_so(fleet: ff.Fleet, fitted: ff.Job, other: Path) -> None:
    with pytest.raises(DatasetError, match=r"^dataset\.x: has rows of shape \(5,\), the model's"):
        fitted.predict(np.ones((2, 5), "float32"), where="fleet")
    with pytest.raises(DatasetError, match=r"does not exist"):
        fitted.evaluate(str(other.with_name("absent.h5")), where="fleet")
    with pytest.raises(FitfleetError, match=r"^where: 'moon' is not one of auto, here, fleet"):
        fitted.predict(np.ones((2, 8, 8)), where="moon")  # type: ignore[arg-type]
    fitted.evaluate(str(other), where="fleet")
    asked = fleet.jobs("asked-evaluations", JobStatus.SUCCEEDED)[0]
    for ask in (asked.weights, asked.load_model, lambda: asked.predict(np.ones((2, 8, 8)))):
        with pytest.raises(StateError, match=rf"did only evaluate.*of job {fitted.id}$"):
            ask()
    with pytest.raises(StateError, match="only a succeeded job can be extended"):
        asked.extend(epochs=3)


SCRIPT = """
import sys
import fitfleet as ff
url, broker, storage, job, dataset = sys.argv[1:]
fleet = ff.connect(url, broker, storage)
job = fleet.job(int(job))
print(sorted(job.evaluate(dataset, where="fleet")), job.predict(dataset, where="fleet").shape)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def test_a_script_without_tensorflow_can_predict(
    fleet: ff.Fleet, fitted: ff.Job, other: Path
) -> None:
    settings = fleet.settings
    places = [settings.database_url, settings.broker_url, settings.storage]
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, *places, str(fitted.id), str(other)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout == "['accuracy', 'loss'] (150, 10)\n"


def test_the_command_line_asks_as_a_script_does(
    fleet: ff.Fleet, fitted: ff.Job, other: Path
) -> None:
    def answer(*arguments: str) -> subprocess.CompletedProcess[str]:
        settings = fleet.settings
        places = [
            *("--database-url", settings.database_url, "--broker-url", settings.broker_url),
            *("--storage", settings.storage),
        ]
        return subprocess.run(
            [sys.executable, "-m", "fitfleet", *arguments, *places],
            capture_output=True,
            text=True,
            timeout=200,
        )

    number, target = str(fitted.id), other.with_name("predicted.npz")
    expected = fitted.predict(str(other), where="fleet")
    written = answer("predict", number, str(other), "--output", str(target))
    assert written.returncode == 0, written.stderr
    assert written.stdout == f"150 rows in {target}\n"
    with np.load(target) as file:
        np.testing.assert_array_equal(file["predictions"], expected)
    rows = json.dumps({"path": str(other), "x": "x", "y": "y", "sample_weight": False})
    measured = answer("evaluate", number, rows, "--json")
    assert json.loads(measured.stdout) == fitted.evaluate(
        ff.Dataset(other, x="x", y="y", sample_weight=False), where="fleet"
    )
    refused = answer("predict", number, str(other.with_name("absent.h5")))
    assert refused.returncode == 2 and "does not exist" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
