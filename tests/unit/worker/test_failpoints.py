"""A fault point fires when it is named, as often as asked, and never otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_CODE = """
from fitfleet.worker.failpoints import reach
for _ in range(3):
    try:
        reach("here")
        print("passed")
    except OSError as error:
        print(error.strerror)
reach("there")
"""


def _run(fault: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FITFLEET_FAULT": fault}
    return subprocess.run(
        [sys.executable, "-c", _CODE], capture_output=True, text=True, env=environment, timeout=60
    )


@pytest.mark.parametrize(
    ("fault", "lines"),
    [
        ("", ["passed"] * 3),
        ("elsewhere:kill", ["passed"] * 3),
        ("her:kill", ["passed"] * 3),
        ("here@2:raise", ["passed", "No space left on device", "passed"]),
        ("elsewhere:kill;here@3:raise", ["passed", "passed", "No space left on device"]),
    ],
)
def test_a_fault_acts_at_its_failpoint(fault: str, lines: list[str]) -> None:
    assert _run(fault).stdout.splitlines() == lines


def test_a_marker_lets_it_fire_once(tmp_path: Path) -> None:
    fault = f"here:kill:{tmp_path / 'marker'}"
    assert _run(fault).returncode == -signal.SIGKILL
    assert _run(fault).stdout.splitlines() == ["passed"] * 3


def test_it_fires_again_when_its_marker_is_removed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    fault = f"here:raise:{marker}"
    fired = ["No space left on device", "passed", "passed"]
    assert _run(fault).stdout.splitlines() == fired
    marker.unlink()
    assert _run(fault).stdout.splitlines() == fired
