"""However a script ends, nothing of its fleet stays behind, and its jobs wait for the next one."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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
    with sqlite3.connect(folder / ".fitfleet" / "fleet.db") as connection:
        return str(connection.execute("SELECT status FROM jobs").fetchone()[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_script_drains_its_workers(
    tmp_path: Path, digits: Path, number: signal.Signals
) -> None:
    script = started(tmp_path, digits)
    processes = family(script)
    script.send_signal(number)
    _, stderr = script.communicate(timeout=60)
    assert script.returncode != 0
    if number is signal.SIGINT:
        assert "KeyboardInterrupt" in stderr
    assert left(processes, 25.0) == []
    assert status(tmp_path) == "QUEUED"


def test_a_killed_script_leaves_no_orphans(tmp_path: Path, digits: Path) -> None:
    script = started(tmp_path, digits)
    processes = family(script)
    assert len(processes) >= 2
    script.kill()
    script.wait()
    assert left(processes, 25.0) == []
