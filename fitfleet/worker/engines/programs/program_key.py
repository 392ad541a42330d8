"""The key of a stored program: everything that its graph contains or depends on."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

from fitfleet import settings
from fitfleet.worker.environment import environment

_SWITCHES = ("TF_", "KERAS_", "ONEDNN_", "DNNL_", "XLA_", "OMP_", "MKL_")
# Logging changes no graph.
_LOGGING = ("TF_CPP_MIN_LOG_LEVEL", "TF_CPP_MAX_VLOG_LEVEL", "TF_CPP_VMODULE")
_CPU = Path("/proc/cpuinfo")
_CPU_FIELDS = ("Features", "flags", "model name")


def program_key(engine: str, trace_key: str, model: Any) -> str:
    """The key of an engine's programs for a compiled model that was built for a trace key."""
    import keras

    names = [metric.name for metric in model.metrics], getattr(model, "output_names", None)
    floats = keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()
    policy = keras.config.dtype_policy().name
    return json.dumps([engine, trace_key, names, floats, policy, _environment()])


@functools.cache
def _environment() -> dict[str, Any]:
    import tensorflow as tf

    switches = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_SWITCHES) and name not in _LOGGING
    }
    return {
        **environment("cpu"),
        "build": tf.version.GIT_VERSION,
        "switches": dict(sorted(switches.items())),
        "processor": _processor(),
        "code": code_hash(Path(settings.__file__).parent),
    }


def _processor() -> list[str]:
    """The model and flags of the processor, by which TensorFlow chooses kernels and rewrites."""
    try:
        first, *_ = _CPU.read_text().split("\n\n")
    except OSError:
        return [platform.processor()]
    named = (line.partition(":") for line in first.splitlines())
    return sorted(value.strip() for name, _, value in named if name.strip() in _CPU_FIELDS)


def code_hash(package: Path) -> str:
    """A hash of all code of fitfleet that decides about graphs; it may change within a version."""
    digest = hashlib.sha256()
    for path in sorted([*package.glob("worker/**/*.py"), *package.glob("spec/**/*.py")]):
        digest.update(f"{path.relative_to(package)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
