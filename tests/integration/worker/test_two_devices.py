"""A fit on two devices of a process resumes with the same numbers, and trains whole batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_fit_on_two_devices_that_is_drained_twice_equals_the_straight_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("two_devices.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
