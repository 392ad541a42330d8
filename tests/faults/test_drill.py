"""`fitfleet drill`: a user's own proof."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_drill_is_passed_and_touches_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fitfleet", "drill", "--jobs", "3", "--seed", "3", "--json"]
    process = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert process.returncode == 0, process.stderr
    verdict = json.loads(process.stdout)
    assert verdict["is_good"] is True
    assert (verdict["done"], verdict["lost"], verdict["twice"], verdict["different"]) == (
        3,
        0,
        0,
        0,
    )
    assert sum(verdict["faults"].values()) >= 1
    assert [path.name for path in tmp_path.iterdir()] == [".fitfleet"]
