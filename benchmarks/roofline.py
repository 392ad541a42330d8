"""The sweep's floating-point operations and bytes against what this CPU can do.

    python benchmarks/roofline.py [--jobs 64] [--engine fused]

Counted by hand for the stacked LSTM of `overhead.py` (5 epochs): the matrix products of a forward
pass, times three for a training step, and as bytes what a step must move at the least, were all
activations to stay in the caches: weights and gradients, twice read and once written each, and the
optimizer's variables, once read and written. Against it a matrix product of 2048 x 2048 float32 and
a copy of 256 MB, measured in this process right before a warm cohort is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from phases import profile

_ROWS, _STEPS_IN_TIME, _FEATURES, _UNITS, _CLASSES = 1000, 8, 16, 32, 10
_BATCH, _EPOCHS = 64, 5
_SIZE = 2048


def work() -> tuple[float, float]:
    """(operations, bytes) of one job's training."""
    parts = [(_FEATURES, _UNITS), (_UNITS, _UNITS), (_UNITS, _UNITS)]
    of_a_row = sum(2 * 4 * u * (i + u) * _STEPS_IN_TIME for i, u in parts)
    of_a_row += 2 * _UNITS * _CLASSES
    weights = sum(4 * u * (i + u + 1) for i, u in parts) + (_UNITS + 1) * _CLASSES
    steps = -(-_ROWS // _BATCH) * _EPOCHS
    moved = steps * weights * 4 * (2 * 3 + 2) + _EPOCHS * _ROWS * 4 * _STEPS_IN_TIME * _FEATURES
    return 3.0 * of_a_row * _ROWS * _EPOCHS, float(moved)


def limits() -> tuple[float, float]:
    """(operations a second, bytes a second) of this machine, all cores."""
    import numpy as np
    import tensorflow as tf

    a = tf.random.normal((_SIZE, _SIZE))
    tf.matmul(a, a).numpy()
    multiply = min(_seconds(lambda: tf.matmul(a, a).numpy()) for _ in range(8))
    source = np.ones(64 * 2**20, "float32")
    target = np.empty_like(source)
    copy = min(_seconds(lambda: np.copyto(target, source)) for _ in range(5))
    return 2.0 * _SIZE**3 / multiply, 2.0 * source.nbytes / copy


def _seconds(action: Any) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=64)
    parser.add_argument("--engine", choices=("loop", "fused"), default="fused")
    options = parser.parse_args()
    phases = profile(options.engine, options.jobs)["warm"]
    operations_per_s, bytes_per_s = limits()
    operations, moved = work()
    floor_s = max(operations / operations_per_s, moved / bytes_per_s)
    print(
        json.dumps(
            {
                "benchmark": "roofline",
                "engine": options.engine,
                "jobs": options.jobs,
                "machine_gflops": round(operations_per_s / 1e9, 1),
                "machine_gb_per_s": round(bytes_per_s / 1e9, 1),
                "job_gflop": round(operations / 1e9, 3),
                "job_gb": round(moved / 1e9, 3),
                "floor_s_a_job": round(floor_s, 5),
                "steps_s_a_job": round(phases["steps"], 4),
                "all_s_a_job": round(sum(phases.values()), 4),
                "steps_over_floor": round(phases["steps"] / floor_s, 1),
                "all_over_floor": round(sum(phases.values()) / floor_s, 1),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
