"""What a child makes of TensorFlow, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

_REPORT = """
import json, sys
from fitfleet.worker.process import device
device.load(has_own_code={has_own_code})
device.configure({threads})
imported = [name for name in ("matplotlib", "pandas", "sklearn") if name in sys.modules]
import keras, matplotlib.pyplot, pandas, sklearn
import tensorflow as tf
from tensorflow.python.eager import context
from fitfleet.worker.environment import environment
print(json.dumps({{
    "imported": imported,
    "threads": environment("cpu")["threads"],
    "is_eager": tf.executing_eagerly(),
    "spins": not context.context().config.experimental.disable_thread_spinning,
    "sum": float(keras.ops.sum(keras.ops.ones(3))),
}}))
"""


def _warmed(threads: int, *, has_own_code: bool, cores: str = "") -> dict[str, Any]:
    code = _REPORT.format(threads=threads, has_own_code=has_own_code)
    if cores:
        code = f"import os\nos.sched_setaffinity(0, {{{cores}}})\n" + code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("has_own_code", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_threads_are_those_asked_for_and_do_not_spin(has_own_code: bool) -> None:
    warmed = _warmed(3, has_own_code=has_own_code)
    assert warmed["threads"] == 3
    assert not warmed["spins"]
    assert warmed["is_eager"] and warmed["sum"] == 3.0
    # All three are installed with the tests.
    assert warmed["imported"] == (["matplotlib", "pandas", "sklearn"] if has_own_code else [])


def test_by_default_there_is_a_thread_for_each_core_that_the_process_may_use() -> None:
    assert _warmed(0, has_own_code=False, cores="0")["threads"] == 1
