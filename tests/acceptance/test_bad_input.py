"""Bad input at the command line: one clear sentence, exit code 2, and nothing is queued."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fitfleet.cli.main import app

Document = dict[str, Any]


def layer(name: str, **config: Any) -> Document:
    return {"module": "keras.layers", "class_name": name, "config": config}


def model(*layers: Document, shape: tuple[int | None, ...] = (None, 8, 8)) -> Document:
    first = layer("InputLayer", batch_shape=list(shape))
    config = {"layers": [first, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config}


LSTM = layer("LSTM", units=4)
SOFTMAX = layer("Dense", units=10, activation="softmax")


def good() -> Document:
    return {
        "model": model(LSTM, SOFTMAX),
        "dataset": "digits.h5",
        "optimizer": "rmsprop",
        "loss": "categorical_crossentropy",
        "batch_size": 64,
        "epochs": 2,
        "experiment": "bad",
    }


@pytest.fixture
def folder(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the good dataset and several bad ones."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.h5").write_bytes(digits.read_bytes())
    rows = {"x_train": np.ones((32, 8, 8), "f4"), "y_train": np.ones((32, 10), "f4")}
    np.savez(tmp_path / "pickled.npz", **rows | {"y_train": np.array([{}] * 32, dtype=object)})
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file["x_train"], file["y_train"] = np.ones((0, 8, 8)), np.ones((0, 10))
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["x_train"] = rows["x_train"]
        file["y_train"] = h5py.ExternalLink("digits.h5", "/y_train")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file["x_train"] = rows["x_train"]
        raw = [("/etc/passwd", 0, 320)]
        file.create_dataset("y_train", (32, 10), "u1", external=raw)
    with h5py.File(tmp_path / "nan.h5", "w") as file:
        file["x_train"], file["y_train"] = rows["x_train"] * np.nan, rows["y_train"]
    return tmp_path


def command(*arguments: str) -> Result:
    return CliRunner().invoke(
        app, list(arguments), env={"FITFLEET_BROKER_URL": "redis://127.0.0.1:1"}
    )


def submitted(folder: Path, document: Document) -> Result:
    (folder / "job.json").write_text(json.dumps(document))
    return command("submit", "job.json")


Change = Callable[[Document], None]


def change(**values: Any) -> Change:
    return lambda document: document.update(values)


BAD: dict[str, tuple[Change, str]] = {
    "unknown layer": (change(model=model(layer("LSTMM", units=4))), "LSTM"),
    "units of 0": (change(model=model(layer("LSTM", units=0), SOFTMAX)), "units"),
    "shape mismatch": (change(model=model(LSTM, SOFTMAX, shape=(None, 8, 9))), "(8, 8)"),
    "loss and labels": (change(loss="sparse_categorical_crossentropy"), "one-hot"),
    "unknown loss": (change(loss="categorical_crossentropie"), "categorical_crossentropy"),
    "missing file": (change(dataset="digitz.h5"), "digitz.h5"),
    "missing array": (change(dataset={"path": "digits.h5", "x": "x_trian"}), "x_trian"),
    "empty dataset": (change(dataset="empty.h5"), "no rows"),
    "NaN when asked": (change(dataset={"path": "nan.h5", "nan": "refuse"}), "NaN"),
    "epochs of 0": (change(epochs=0), "epochs"),
    "batch size of 0": (change(batch_size=0), "batch_size"),
    "split above 1": (change(validation_split=1.5), "validation_split"),
    "stateful rest": (
        change(
            model=model(layer("LSTM", units=4, stateful=True), SOFTMAX, shape=(64, 8, 8)),
            shuffle=False,
        ),
        "multiple of 64",
    ),
    "spec of 2 MB": (change(params={"text": "x" * 2_000_000}), ""),
    "a Lambda layer": (change(model=model(layer("Lambda", function="f"))), "Lambda"),
    "pickled npz": (change(dataset="pickled.npz"), "pickled.npz"),
    "external link": (change(dataset="linked.h5"), "linked.h5"),
    "external storage": (change(dataset="external.h5"), "external.h5"),
    "misspelt argument": (change(epoch=3), "epochs"),
    "no model": (lambda document: document.pop("model"), "model"),
    "negative timeout": (change(timeout_s=-1), "timeout_s"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_queued(
    folder: Path, case: str
) -> None:
    document = good()
    alter, said = BAD[case]
    alter(document)
    result = submitted(folder, document)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert len(result.stderr) < 600 and result.stderr.count("\n") == 1
    assert command("ps", "--json").stdout == "[]\n"


def test_the_good_one_is_queued(folder: Path) -> None:
    result = submitted(folder, good())
    assert (result.exit_code, result.stdout) == (0, "job 1 queued\n")
    assert "kept in the database" in result.stderr


def written(*layers: Any) -> Document:
    return {"Sequential": [{"Input": {"shape": [8, 8]}}, "Flatten", *layers, {"Dense": [10]}]}


SEARCHED = written({"Dense": {"units": {"choice": [4, 8]}}})
SWEEP = {"model": SEARCHED, "search": "grid", "objective": "val_loss", "validation_split": 0.5}
BAD_SWEEPS: dict[str, tuple[Document, str]] = {
    "unknown objective": (
        {"objective": "val_acuracy", "direction": "maximize", "metrics": ["accuracy"]},
        "did you mean val_accuracy? there are loss, accuracy, val_loss, val_accuracy,",
    ),
    "empty space": ({"model": written()}, "no search space"),
    "a choice of nothing": ({"batch_size": {"choice": []}}, "no options"),
    "builder of a module that nobody trusts": (
        {"model": {"builder": "os:system", "command": {"choice": ["id > called"]}}},
        "os:system is run only if 'os' is in the setting trusted_modules",
    ),
    "function of a module that nobody trusts": (
        {"model": {"choice": ["posix:getpid", "posix:getppid"]}},
        "posix:getp",
    ),
    "grid without end": ({"seed": {"integers": [0, 999_999]}}, "2,000,000 points"),
    "seeds and repeats": ({"seed": {"choice": [1, 2]}, "repeats": 3}, "repeats vary it too"),
    "pruner with one epoch": ({"pruner": "median", "epochs": 1}, "one epoch is not a curve"),
    "direction misspelt": ({"direction": "minimise"}, "did you mean 'minimize'?"),
    "folds of nothing": ({"folds": 5000}, "not a number of folds from 2 to"),
    "misspelt key": ({"trails": 3}, "trails: no such argument"),
    "search without trials": ({"search": "tpe"}, "how many points to try"),
    "bounds turned round": ({"batch_size": {"integers": [9, 1]}}, "give low < high"),
}


@pytest.mark.parametrize("verb", ["submit", "plan"])
@pytest.mark.parametrize("case", BAD_SWEEPS)
def test_a_bad_sweep_is_one_sentence(folder: Path, case: str, verb: str) -> None:
    changes, said = BAD_SWEEPS[case]
    (folder / "sweep.json").write_text(json.dumps({**good(), **SWEEP, **changes}))
    result = command(verb, "sweep.json")
    assert result.exit_code == 2, (result.output, result.exception)
    assert said in result.output and "Traceback" not in result.output
    if verb == "submit":
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert command("ps", "--json").stdout == "[]\n"
    assert not (folder / "called").exists()


BUILDER_FORMS: dict[str, Any] = {
    "mapping": {"builder": "os:system", "command": "id > called"},
    "arguments": {"path": "os:system", "arguments": {"command": "id > called"}},
    "text": "called_builders:build",
    "file": "called_model.yaml",
}


@pytest.mark.parametrize("verb", ["submit", "run"])
@pytest.mark.parametrize("form", BUILDER_FORMS)
def test_a_job_file_calls_no_function_that_is_not_trusted(
    folder: Path, form: str, verb: str
) -> None:
    (folder / "called_builders.py").write_text("open('called', 'w')\ndef build(): ...\n")
    (folder / "called_model.yaml").write_text("{builder: 'os:system', command: 'id > called'}")
    (folder / "job.json").write_text(json.dumps({**good(), "model": BUILDER_FORMS[form]}))
    more = ["--workers", "1"] if verb == "run" else []
    result = command(verb, "job.json", *more)
    assert result.exit_code == 2, (result.output, result.exception)
    assert "is in the setting trusted_modules" in result.stderr
    assert not (folder / "called").exists()


def test_a_point_whose_builder_raises_does_not_stop_the_others(folder: Path) -> None:
    (folder / "half_good.py").write_text(
        "def build(units):\n"
        "    if units == 13:\n"
        "        raise ValueError('thirteen is unlucky')\n"
        "    first, last = {'Input': {'shape': [8, 8]}}, {'Dense': [10]}\n"
        "    return {'Sequential': [first, 'Flatten', {'Dense': [units]}, last]}\n"
    )
    model = {"builder": "half_good:build", "units": {"choice": [4, 13, 8]}}
    (folder / "sweep.json").write_text(json.dumps({**good(), **SWEEP, "model": model}))
    result = command("submit", "sweep.json", "--trust", "half_good")
    assert result.exit_code == 0, (result.output, result.exception)
    jobs = json.loads(command("ps", "--json").stdout)
    assert sorted(job["params"]["units"] for job in jobs) == [4, 8]
    (listed,) = json.loads(command("sweeps", "--json").stdout)
    assert (listed["trials"], listed["refused"]) == (3, 1)


def test_nan_is_a_warning_unless_asked_for(folder: Path) -> None:
    result = submitted(folder, {**good(), "dataset": "nan.h5"})
    assert result.exit_code == 0, result.output
    assert "warning: " in result.stderr and "NaN" in result.stderr


def test_a_zip_bomb_is_no_dataset(folder: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros((32, 8, 8), "f4"))
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as bomb:
        header = array.getvalue()[:128].replace(b"(32, 8, 8), }  ", b"(9999999,8,8),}")
        bomb.writestr("x_train.npy", header + b"\0" * 80_000_000)
    result = submitted(folder, {**good(), "dataset": "bomb.npz"})
    assert result.exit_code == 2, result.output


def test_a_directory_that_cannot_be_written_is_reported(folder: Path) -> None:
    (folder / "taken").write_text("a file")
    (folder / "job.json").write_text(json.dumps(good()))
    result = command("run", "job.json", "--directory", os.fspath(folder / "taken" / "fleet"))
    assert result.exit_code == 2, result.output
    assert "cannot be written" in result.stderr and "Traceback" not in result.stderr
