"""A damaged spec or YAML text passes or gets one sentence, and nothing else happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_damaged_spec_passes_or_gets_a_sentence() -> None:
    """In a process of its own: an audit hook cannot be taken away, and memory is its own."""
    program = Path(__file__).with_name("fuzz_specs.py")
    done = subprocess.run(
        [sys.executable, str(program), "1500"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    outcomes = json.loads(done.stdout.rpartition("}")[0] + "}")["outcomes"]
    assert outcomes["accepted"] and outcomes["SpecError"] and outcomes["DatasetError"]
