"""The memory that a fit needs of its device, measured while it is trained."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol

from fitfleet.worker.process.device import is_simulated
from fitfleet.worker.process.memory import peak_bytes, reset_peak, resident_bytes
from fitfleet.worker.process.nvml import Driver, Nvml

# Of a CUDA context with its libraries, where the driver does not say what a process holds.
_CONTEXT_BYTES = 600 * 2**20


# What an idle process on a card that others share may keep; one that holds more is replaced.
IDLE_BYTES = 1600 * 2**20


@dataclass(frozen=True)
class Peak:
    """The most that was needed since the last `reset`, by a process that has trained nothing else.

    On a GPU `framework_bytes` of it are TensorFlow's tensors; `driver_bytes` is what the driver
    says that the process holds now, with the context, the libraries and memory that TensorFlow
    keeps from earlier fits.
    """

    size_bytes: int
    framework_bytes: int | None = None
    driver_bytes: int | None = None


class Meter(Protocol):
    """Measures one device, for one process."""

    device: str  # cpu, or the model of the GPU

    def reset(self) -> None:
        """Measure from here."""

    def peak(self) -> Peak | None:
        """The most since then; None where the system does not tell."""

    def free_bytes(self) -> int | None:
        """Bytes that a fit here may take now; None: there is no need to check."""

    def is_oversized(self) -> bool:
        """Whether the process keeps memory of earlier fits that others on its device lack."""


class HostMeter:
    """Resident memory: what the process had when it was warm, and its growth in the fit."""

    device = "cpu"

    def __init__(self) -> None:
        self._warm_bytes = self._before_bytes = resident_bytes()

    def reset(self) -> None:
        """Forget the peak before."""
        reset_peak()
        self._before_bytes = resident_bytes()

    def peak(self) -> Peak | None:
        """Where the system cannot forget a peak, that of the process."""
        peak = peak_bytes()
        if peak is None:
            return None
        return Peak(self._warm_bytes + max(0, peak - self._before_bytes))

    def free_bytes(self) -> int | None:
        """Only the fleet's own fits are counted."""
        return None

    def is_oversized(self) -> bool:
        """What a fit has freed goes back to the system; for the rest see child_growth_bytes."""
        return False


class GpuMeter:
    """TensorFlow's own peak, and beside it what the driver counts and TensorFlow does not."""

    def __init__(
        self,
        uuid: str,
        device: str,
        driver: Driver,
        framework: Any,
        *,
        left_bytes: int = 0,
        is_shared: bool = False,
    ) -> None:
        self.device = device
        self._is_shared = is_shared  # by other slots
        self._left_bytes = left_bytes  # that must stay free
        self._uuid = uuid
        self._driver = driver
        self._framework = framework  # tf.config.experimental
        self._largest_bytes = 0  # of all fits of this process
        self._beside_bytes: int | None = None

    def reset(self) -> None:
        """Forget TensorFlow's peak; the one of the host is that of the process's records."""
        reset_peak()
        self._framework.reset_memory_stats("GPU:0")

    def peak(self) -> Peak | None:
        """The least that the driver ever counted beside TensorFlow's tensors is the context."""
        framework = int(self._framework.get_memory_info("GPU:0")["peak"])
        held = self._driver.process_bytes(self._uuid, os.getpid())
        self._largest_bytes = max(self._largest_bytes, framework)
        if held is not None:
            beside = max(0, held - self._largest_bytes)
            known = self._beside_bytes
            self._beside_bytes = beside if known is None else min(known, beside)
        context = _CONTEXT_BYTES if self._beside_bytes is None else self._beside_bytes
        return Peak(framework + context, framework, held)

    def free_bytes(self) -> int | None:
        """By the driver, less what must stay free, where that is said; what it holds is its own."""
        free = self._driver.free_bytes(self._uuid) if self._left_bytes else None
        if free is None:
            return None
        held = self._driver.process_bytes(self._uuid, os.getpid()) or 0
        return max(0, free + held - self._left_bytes)

    def is_oversized(self) -> bool:
        """TensorFlow gives nothing back: more than an idle process is allowed for."""
        if not self._is_shared:
            return False
        held = self._driver.process_bytes(self._uuid, os.getpid())
        return held is not None and held > IDLE_BYTES


class NoMeter:
    """Of a fit on several GPUs, whose replicas need what no fit on one of them does."""

    device = "gpus"

    def reset(self) -> None:
        """Nothing is measured."""

    def peak(self) -> Peak | None:
        """Not known."""
        return None

    def free_bytes(self) -> int | None:
        """All of its GPUs are its own."""
        return None

    def is_oversized(self) -> bool:
        """Its process ends with it."""
        return False


def meter_of(device: str, *, left_bytes: int = 0, is_shared: bool = False) -> Meter:
    """The meter of a child whose records name this device, after TensorFlow is imported."""
    if "," in device:
        return NoMeter()
    if not device.startswith("gpu ") or is_simulated(device.removeprefix("gpu ")):
        return HostMeter()
    import tensorflow as tf

    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    model = str(details.get("device_name", "gpu"))
    return GpuMeter(
        device.removeprefix("gpu "),
        model,
        Nvml(),
        tf.config.experimental,
        left_bytes=left_bytes,
        is_shared=is_shared,
    )
