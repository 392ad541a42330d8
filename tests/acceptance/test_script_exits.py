"""However a script ends, nothing of its fleet stays behind, and its jobs wait for the next one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from support.waiting import until

import fitfleet as ff
from fitfleet.worker.process import fork_server

SCRIPT = """
import time
import fitfleet as ff

with ff.local(workers=1, drain_s=3.0) as fleet:
    job = fleet.submit(
        model=ff.Sequential([
            ff.layers.Input((8, 8)), ff.layers.LSTM(8), ff.layers.Dense(10, activation="softmax")]),
        dataset="digits.h5", optimizer="rmsprop", loss="categorical_crossentropy",
        batch_size=64, epochs=100_000, experiment="long")
    while job.refresh().epoch < 2:
        time.sleep(0.1)
        fleet.services.check()
    print("running", flush=True)
    fleet.wait()
"""

LAYERS = [
    ("InputLayer", {"batch_shape": [None, 8, 8]}),
    ("LSTM", {"units": 8}),
    ("Dense", {"units": 10, "activation": "softmax"}),
]
JOB = {
    "model": {
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"module": "keras.layers", "class_name": name, "config": config}
                for name, config in LAYERS
            ]
        },
    },
    "dataset": "digits.h5",
    "optimizer": "rmsprop",
    "loss": "categorical_crossentropy",
    "epochs": 100_000,
}


def started(folder: Path, digits: Path) -> subprocess.Popen[str]:
    """The script, once its job runs."""
    (folder / "digits.h5").write_bytes(digits.read_bytes())
    (folder / "long.py").write_text(SCRIPT)
    script = subprocess.Popen(
        [sys.executable, "long.py"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert script.stdout is not None
    assert script.stdout.readline() == "running\n", script.stderr and script.stderr.read()
    return script


def family(script: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(script.pid).children(recursive=True)


def left(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after so long."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        processes = [p for p in processes if p.is_running() and p.status() != "zombie"]
        if not processes:
            break
        time.sleep(0.1)
    return processes


def status(folder: Path) -> str:
    """Of the one job; "" before it is there."""
    try:
        with closing(sqlite3.connect(folder / ".fitfleet" / "fleet.db")) as connection:
            row = connection.execute("SELECT status FROM jobs").fetchone()
    except sqlite3.OperationalError:
        return ""
    return str(row[0]) if row else ""


def ended_by(script: subprocess.Popen[str], number: signal.Signals) -> str:
    """What a script wrote to stderr until a signal had ended it."""
    script.send_signal(number)
    try:
        return script.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        script.kill()
        raise AssertionError(f"the script did not end: {script.communicate()[1]}") from None


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
def test_an_interrupted_script_drains_its_workers(
    tmp_path: Path, digits: Path, number: signal.Signals
) -> None:
    script = started(tmp_path, digits)
    processes = family(script)
    stderr = ended_by(script, number)
    assert script.returncode != 0
    if number is signal.SIGINT:
        assert "KeyboardInterrupt" in stderr
    assert left(processes, 25.0) == []
    # The scheduler may have published it again before it ended too.
    assert status(tmp_path) in ("QUEUED", "DISPATCHED")


def test_a_killed_script_leaves_no_orphans(tmp_path: Path, digits: Path) -> None:
    with started(tmp_path, digits) as script:
        processes = family(script)
        assert len(processes) >= 2
        script.kill()
    assert left(processes, 25.0) == []


def test_an_interrupted_command_is_exit_code_130(tmp_path: Path, digits: Path) -> None:
    (tmp_path / "digits.h5").write_bytes(digits.read_bytes())
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    command = [sys.executable, "-m", "fitfleet", "run", "job.json", "--workers", "1"]
    run = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    database = tmp_path / ".fitfleet" / "fleet.db"
    until(lambda: database.exists() and status(tmp_path) != "")
    processes = family(run)
    run.send_signal(signal.SIGINT)
    _, stderr = run.communicate(timeout=60)
    assert (run.returncode, stderr) == (130, "interrupted\n")
    assert left(processes, 25.0) == []


def test_stopping_a_fleet_on_a_terminal_prints_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pytest.raises(KeyboardInterrupt), ff.local(0, tmp_path / "fleet"):
        raise KeyboardInterrupt
    assert "Ctrl-C again ends them at once" in capsys.readouterr().err


def test_a_fleet_that_cannot_start_leaves_no_worker(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").write_text("not a database " * 100)
    before = psutil.Process().children()
    with pytest.raises(ff.FitfleetError, match="file is not a database"):
        ff.local(1, tmp_path)
    assert left([p for p in psutil.Process().children() if p not in before], 25.0) == []


def test_a_worker_whose_script_ends_before_its_fleet_is_there_ends_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fitfleet.embedded.worker_process", str(os.getpid())]
    command.append(str(tmp_path / "broker"))
    run = subprocess.run(command, cwd=tmp_path, input="", capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert not (tmp_path / ".fitfleet").exists()


def test_a_worker_imports_tensorflow_while_its_broker_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fitfleet.embedded.worker_process", str(os.getpid())]
    command.append(str(tmp_path / "broker"))
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as run:
        service = psutil.Process(run.pid)
        until(lambda: [child.name() for child in service.children()] == [fork_server.NAME])
        importing = service.children()
        run.communicate(b"")  # the script gives up
    assert run.returncode == 0
    assert left(importing, 25.0) == []
