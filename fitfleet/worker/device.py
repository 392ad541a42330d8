"""Devices: which one a slot uses, and how TensorFlow is told."""

from __future__ import annotations

import os


def assign(gpus: str, slot: int) -> str:
    """Pin this process to the GPU of its slot; the device's name for the records.

    `gpus` is a list as in CUDA_VISIBLE_DEVICES; slots take them in turn. Empty: the CPU. Must
    run before TensorFlow is imported.
    """
    chosen = [part.strip() for part in gpus.split(",") if part.strip()]
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    if not chosen:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        return "cpu"
    own = chosen[slot % len(chosen)]
    os.environ["CUDA_VISIBLE_DEVICES"] = own
    return f"gpu {own}"


def warm(slots: int) -> None:
    """Import TensorFlow, let GPUs grow, and share the cores between the slots of a machine."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if slots > 1:
        threads = max(1, (os.cpu_count() or 1) // slots)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    import keras

    keras.config.disable_interactive_logging()
