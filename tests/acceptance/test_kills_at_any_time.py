"""A fleet that is interrupted, ended or killed at any moment of its life leaves no process behind.

The moments are spread evenly over the life of a fleet that is not disturbed, from the start of
its script to the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.parts import quick
from support.waiting import until

SCRIPT = """
import time
import fitfleet as ff
with ff.local({workers}, drain_s=1.0):
    time.sleep(1.5)
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
MARK = "FITFLEET_TEST_MARK"
MOMENTS = 40
# A drain and the end of a worker that imports TensorFlow.
_GONE_S = 40.0


def started(folder: Path, mark: str, workers: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(workers=workers)],
        cwd=folder,
        env={**os.environ, MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def processes(folder: Path, mark: str) -> list[str]:
    """Command lines of all processes that descend from a script, whoever their parent is now.

    By the environment, or by the working directory: Valkey overwrites its environment.
    """
    commands = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            is_marked = f"{MARK}={mark}".encode() in (path / "environ").read_bytes().split(b"\0")
            is_inside = (path / "cwd").readlink().is_relative_to(folder)
            is_alive = (path / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            if (is_marked or is_inside) and is_alive:
                commands.append((path / "cmdline").read_text().replace("\0", " ")[:200])
        except OSError:
            continue
    return commands


def gone(folder: Path, mark: str) -> list[str]:
    """What is left of a fleet when all that ends has had its time."""
    deadline = time.monotonic() + _GONE_S
    while (left := processes(folder, mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def left_behind(folder: Path, workers: int, moments: int) -> dict[str, list[str]]:
    """What is left of fleets that got a signal, by moment; each in turn at one of so many."""
    began = time.monotonic()
    assert started(folder, f"{folder.name}-whole", workers).wait(120) == 0
    life_s = time.monotonic() - began
    assert gone(folder, f"{folder.name}-whole") == []
    by_moment = {}
    for index in range(moments):
        number, mark = SIGNALS[index % len(SIGNALS)], f"{folder.name}-{index}"
        script = started(folder, mark, workers)
        time.sleep(life_s * (index + 0.5) / moments)
        script.send_signal(number)
        try:
            script.wait(_GONE_S)
        finally:
            script.kill()
        if left := gone(folder, mark):
            by_moment[f"{number.name} after {life_s * (index + 0.5) / moments:.2f} s"] = left
    return by_moment


@pytest.mark.parametrize("sign", quick(["users/*", "valkey.pid", "socket"], "valkey.pid"))
def test_a_script_that_is_killed_while_its_broker_starts(tmp_path: Path, sign: str) -> None:
    """Without workers, which would stop the broker too."""
    script = started(tmp_path, tmp_path.name, workers=0)
    until(lambda: bool(list(tmp_path.glob(f".fitfleet/broker/{sign}"))))
    script.kill()
    script.wait()
    assert gone(tmp_path, tmp_path.name) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fleet_killed_at_forty_moments_leaves_no_process(tmp_path: Path) -> None:
    assert left_behind(tmp_path, 1, MOMENTS) == {}
