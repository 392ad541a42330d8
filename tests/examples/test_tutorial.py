"""The tutorial's code blocks, run one after the other as a script."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-sweep.md"


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.S)
    script = tmp_path / "tutorial.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=290
    )
    assert run.returncode == 0, run.stderr
    assert "LTSM" in run.stdout and "LSTM" in run.stdout  # the misspelt layer, and what was meant
    (accuracy,) = re.findall(r"'test_accuracy': ([0-9.]+)", run.stdout)
    assert float(accuracy) > 0.9
    assert run.stdout.rstrip().splitlines()[-1] == "22"  # epochs after the extension
