"""The command line on its own fleet, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.parts import quick

JOB = """
dataset: digits.h5
optimizer: {class_name: RMSprop, config: {learning_rate: 5e-3}}
loss: categorical_crossentropy
metrics: [accuracy]
batch_size: 64
epochs: 2
experiment: digits
jobs:
  - {model: small.json, params: {size: small}}
  - {model: large.json, params: {size: large}}
"""


def model(units: int) -> dict[str, Any]:
    layers = [
        ("InputLayer", {"batch_shape": [None, 8, 8]}),
        ("LSTM", {"units": units}),
        ("Dense", {"units": 10, "activation": "softmax"}),
    ]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"module": "keras.layers", "class_name": name, "config": config}
                for name, config in layers
            ]
        },
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A folder with job file, models and data, after `fitfleet run job.yaml`."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "digits.h5").write_bytes(digits.read_bytes())
    (folder / "small.json").write_text(json.dumps(model(4)))
    (folder / "large.json").write_text(json.dumps(model(16)))
    (folder / "job.yaml").write_text(JOB)
    result = fitfleet(folder, "doctor", "--json")
    assert result.returncode == 0, result.stdout
    assert not (folder / ".fitfleet" / "fleet.db").exists(), "the doctor changes nothing"
    assert answered(folder, "sweeps") == []
    result = fitfleet(folder, "run", "job.yaml")
    told = [line for line in result.stderr.splitlines() if "jobs ended" not in line]
    assert (result.returncode, told) == (0, []), "but for how far it is, on a busy machine"
    assert "best val_loss first" in result.stdout
    return folder


def fitfleet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fitfleet", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
    )


def answered(folder: Path, *arguments: str) -> Any:
    """The JSON that a command prints."""
    result = fitfleet(folder, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_ps_lists_the_jobs(project: Path) -> None:
    jobs = answered(project, "ps")
    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * 2
    assert [job["params"] for job in jobs] == [{"size": "small"}, {"size": "large"}]
    assert set(jobs[0]["metrics"]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    listed = fitfleet(project, "ps", "--status", "succeeded").stdout
    assert "size=small" in listed and "2/2" in listed


def test_show_prints_all_about_a_job(project: Path) -> None:
    shown = answered(project, "show", "1")
    assert [row["epoch"] for row in shown["history"]] == [1, 2]
    assert Path(shown["weights"]).is_file()
    assert 0 < shown["train_seconds"] < shown["seconds"]
    (attempt,) = shown["attempts"]
    assert attempt["ended_at"].endswith("+00:00") and attempt["environment"]["device"] == "cpu"
    page = fitfleet(project, "show", "1").stdout
    for word in ("SUCCEEDED", "val_accuracy", "test_accuracy", "weights", "s of it in epochs"):
        assert word in page
    spec = json.loads(fitfleet(project, "show", "1", "--spec").stdout)
    assert spec["optimizer"]["config"]["learning_rate"] == 5e-3


def test_compare_puts_the_best_first_and_draws(project: Path) -> None:
    rows = answered(project, "compare", "digits", "--metric", "val_accuracy")
    assert rows[0]["val_accuracy"] >= rows[1]["val_accuracy"]
    assert len(answered(project, "compare", "--top", "1")) == 1
    drawn = fitfleet(project, "compare", "--curves", "curves.png")
    assert drawn.returncode == 0
    assert (project / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_logs_are_printed(project: Path) -> None:
    result = fitfleet(project, "logs", "-f", "1")
    assert (result.returncode, result.stdout == "") == (0, False)
    assert result.stdout == fitfleet(project, "logs", "1").stdout


@pytest.mark.parametrize("name", quick(["model.keras", "model.h5", "model.json"], "model.keras"))
def test_a_model_is_exported(project: Path, name: str) -> None:
    result = fitfleet(project, "export", "1", name)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == name
    assert result.stderr == ""
    assert (project / name).stat().st_size > 100


def test_a_second_run_trains_nothing_again(project: Path) -> None:
    result = fitfleet(project, "run", "job.yaml")
    assert result.returncode == 0
    assert "reusing 2 existing jobs: 1, 2" in result.stderr


def test_a_failed_job_is_exit_code_1(project: Path) -> None:
    text = JOB.replace("epochs: 2", "epochs: 100000\ntimeout_s: 1.0")
    (project / "broken.yaml").write_text(text)
    result = fitfleet(project, "run", "broken.yaml")
    assert result.returncode == 1
    assert "failed: timeout: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_run_that_ends_early_says_what_becomes_of_its_jobs(project: Path) -> None:
    text = JOB.replace("epochs: 2", "epochs: 100000").replace("experiment: digits", "experiment: e")
    (project / "endless.yaml").write_text(text)
    result = fitfleet(project, "run", "endless.yaml", "--timeout", "10")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "error: stopped after --timeout 10 s: running fits write a checkpoint, unfinished jobs stay"
        " queued; the same command resumes them"
    )
    left = answered(project, "ps", "-e", "e")
    assert {job["status"] for job in left} <= {"QUEUED", "DISPATCHED"}, "they wait; none runs"
    assert fitfleet(project, "cancel", "-e", "e").stdout.count("cancelled") == 2


BAD_REQUESTS = [
    (["show", "999"], "there is no job 999"),
    (["ps", "--status", "done"], "'DONE' is not one of|'done' is not one of"),
    (["run", "none.yaml"], "none.yaml: cannot be read"),
]
MORE_BAD_REQUESTS = [
    (["cancel", "999"], "there is no job 999"),
    (["retry", "1"], "job 1 is SUCCEEDED; only a failed"),
    (["compare", "digitz"], "no such experiment; there is digits"),
    (["compare", "digits", "--metric", "val_los"], "val_los: no job of 'digits' has"),
    (["pause", "nothing"], "no such experiment"),
    (["drain", "nobody"], "there is no live worker 'nobody'"),
    (["export", "1", "model.onnx"], "is written as .keras, .h5 or .json"),
    (
        ["predict", "1", "digits.h5", "-o", "out.txt"],
        "does not end in one of .csv, .h5, .npy, .npz",
    ),
    (["predict", "1", "{x: [1"], "data: is not YAML"),
    (["evaluate", "1", "digits.h5", "--where", "moon"], "where: 'moon' is not one of auto, here"),
]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *BAD_REQUESTS,
        *(pytest.param(*more, marks=pytest.mark.slow) for more in MORE_BAD_REQUESTS),
    ],
)
def test_a_bad_request_is_one_sentence_and_exit_code_2(
    project: Path, arguments: list[str], said: str
) -> None:
    result = fitfleet(project, *arguments)
    assert result.returncode == 2, result.stdout + result.stderr
    assert any(part in result.stderr for part in said.split("|"))
    assert len(result.stderr.splitlines()) == 1


def test_a_database_that_is_away_is_exit_code_3(project: Path) -> None:
    url = "postgresql://fitfleet:secret@127.0.0.1:1/fitfleet"
    result = fitfleet(project, "ps", "--database-url", url)
    assert result.returncode == 3
    assert "secret" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_with_the_broker_away_a_job_is_kept_and_says_so(project: Path) -> None:
    text = JOB.replace("experiment: digits", "experiment: kept")
    (project / "kept.yaml").write_text(text)
    away = ["--broker-url", "redis://127.0.0.1:1/0"]
    result = fitfleet(project, "submit", "kept.yaml", *away)
    assert result.returncode == 0, result.stderr
    assert "queued" in result.stdout
    assert "kept in the database" in result.stderr
    kept = answered(project, "ps", "-e", "kept")
    assert [job["status"] for job in kept] == ["QUEUED"] * 2
    cancelled = fitfleet(project, "cancel", "-e", "kept")
    assert cancelled.stdout.count("cancelled") == 2


def test_doctor_names_what_is_wrong_and_how_to_fix_it(project: Path) -> None:
    result = fitfleet(project, "doctor", "--broker-url", "redis://127.0.0.1:1/0", "--json")
    assert result.returncode == 3
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert not findings["broker"]["is_ok"] and findings["broker"]["fix"]
    for name in ("database", "storage", "data root", "devices", "versions", "clock"):
        assert findings[name]["is_ok"], findings[name]
