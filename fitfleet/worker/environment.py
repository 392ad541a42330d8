"""What a fit's last bits depend on besides its spec: equality is promised for one such record."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any


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
        "device": device,
    }
