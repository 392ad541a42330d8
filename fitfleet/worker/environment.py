"""What a fit's last bits depend on besides its spec: bits are equal only within one."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from fitfleet.worker.process.device import cores, is_simulated


def environment(device: str) -> dict[str, Any]:
    """Versions, processor and switches of this child, as JSON."""
    import h5py
    import keras
    import numpy as np
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "h5py": h5py.__version__,
        "platform": f"{sys.platform}-{platform.machine()}",
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "xla": os.environ.get("TF_XLA_FLAGS", ""),
        "device": _model(device),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores(),
    }


def _model(device: str) -> str:
    """The GPU by its model, since an index says nothing on another machine; else as given."""
    if not device.startswith("gpu"):
        return device
    count = device.count(",") + 1
    model = _model_of_gpu(device)
    return f"{count} x {model}" if count > 1 else model


def _model_of_gpu(device: str) -> str:
    if is_simulated(device.removeprefix("gpu ")):
        return "simulated gpu"
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return device
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu"))


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What has changed that may change a bit of the result, as `name: old -> new`."""
    return [
        f"{name}: {before.get(name)} -> {now.get(name)}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
