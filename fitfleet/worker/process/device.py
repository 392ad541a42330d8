"""Devices: which one a slot uses, and how TensorFlow is configured for it."""

from __future__ import annotations

import gc
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fitfleet.errors import SettingsError

_log = logging.getLogger(__name__)
SIMULATED = "simulated-"  # begins the name of what is no GPU

# Keras and TensorFlow import these where they are installed: for wrappers, pictures and notebooks,
# and to recognize data frames and sparse matrices. They take as long as TensorFlow itself, and a
# fit of numpy arrays needs none.
_FOR_OWN_CODE = ("IPython", "PIL", "matplotlib", "pandas", "scipy", "sklearn")


def assign(gpus: str, slot: int) -> str:
    """Pin this process to the GPU of its slot; the device's name for the records.

    `gpus` is a list as in CUDA_VISIBLE_DEVICES; slots take them in turn. Empty: the CPU. Must
    run before TensorFlow is imported.
    """
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    gpu = _gpu_of(gpus, slot)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1" if not gpu or is_simulated(gpu) else gpu
    return name_of(gpus, slot)


def assign_all(devices: Sequence[str]) -> str:
    """Let this process use several GPUs, by their names in the records; the name of all.

    As `assign`, before TensorFlow is imported.
    """
    gpus = [name.removeprefix("gpu ") for name in devices]
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1" if is_simulated(gpus[0]) else ",".join(gpus)
    return f"gpu {','.join(gpus)}"


def is_simulated(gpu: str) -> bool:
    """Whether it is none, but the CPU in its place."""
    return gpu.startswith(SIMULATED)


def name_of(gpus: str, slot: int) -> str:
    """The device of a slot as it is recorded: `cpu`, or `gpu` and which."""
    gpu = _gpu_of(gpus, slot)
    return f"gpu {gpu}" if gpu else "cpu"


def _gpu_of(gpus: str, slot: int) -> str:
    chosen = [part.strip() for part in gpus.split(",") if part.strip()]
    return chosen[slot % len(chosen)] if chosen else ""


def count(gpus: str) -> int:
    """How many GPUs a list names."""
    return len([part for part in gpus.split(",") if part.strip()])


def load(*, has_own_code: bool) -> None:
    """Import TensorFlow and Keras, which then runs nothing yet.

    With `has_own_code` Keras is whole, as the user's own modules may expect it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _without(() if has_own_code else _FOR_OWN_CODE), _uncollected(), captured_stderr():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def configure(threads: int, count: int = 1) -> None:
    """Use this many intra-op threads, 0: one for each core; and let GPU memory grow.

    The number changes last bits, so it depends on nothing else, such as the slots of a machine.
    Of a process without GPUs that is to have `count` of them the CPU is as many devices.
    """
    import keras
    import tensorflow as tf

    _configure(threads if threads > 0 else cores())
    _let_gpus_grow(tf)
    if count > 1 and os.environ.get("CUDA_VISIBLE_DEVICES") == "-1":
        (cpu,) = tf.config.list_physical_devices("CPU")
        each = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(cpu, each)
    keras.config.disable_interactive_logging()


def _let_gpus_grow(tf: Any) -> None:
    """Take a GPU's memory as it is needed. SettingsError if TensorFlow does not see the GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "-1")
    if visible != "-1" and not gpus:
        raise SettingsError(
            f"gpus: TensorFlow {tf.__version__} does not see GPU {visible}, and would"
            " train on the CPU;"
            " install fitfleet[gpu] on this host, or start the worker without --gpus"
        )
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _configure(threads: int) -> None:
    """Set the threads, and let those that wait sleep, for the sake of the machine's other slots.

    A thread that spins computes nothing, but takes a core from the child beside it.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=threads)
    config.experimental.disable_thread_spinning = True
    # TensorFlow takes a configuration only when eager execution is switched on, which it is.
    v1.disable_eager_execution()
    v1.enable_eager_execution(config)


@contextmanager
def _without(packages: tuple[str, ...]) -> Iterator[None]:
    """Let imports of these fail as if they were not installed, but for those already imported."""
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, nor ever among what was made: imports leave next to none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


@contextmanager
def captured_stderr() -> Iterator[None]:
    """Log at level debug what is written to the standard error meanwhile; pass it on if it raises.

    TensorFlow's libraries write there at their import, whatever TF_CPP_MIN_LOG_LEVEL says.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(kept)
            file.seek(0)
            os.write(2, file.read())
            raise
        _restore(kept)
        file.seek(0)
        for line in file.read().decode(errors="replace").splitlines():
            _log.debug("TensorFlow's import: %s", line)


def _restore(kept: int) -> None:
    sys.stderr.flush()
    os.dup2(kept, 2)
    os.close(kept)
