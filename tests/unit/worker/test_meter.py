"""Memory of a fit: resident on the host for real, on a GPU as a driver's answers tell it."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.recorded_nvml import RecordedNvml

from fitfleet.worker.process.memory_meter import IDLE_BYTES, GpuMeter, HostMeter, Peak, meter_of
from fitfleet.worker.process.nvml import Nvml

MIB = 2**20
UUID = "GPU-0f3c9d1e-11aa"


def _library(path: Path, held: list[Any], **errors: str) -> RecordedNvml:
    """Answers for one GPU; `held` is what this process holds, asked again and again."""
    calls: list[dict[str, Any]] = [
        {"function": "nvmlInit", "arguments": [], "answer": None},
        {"function": "nvmlDeviceGetHandleByUUID", "arguments": [UUID], "answer": UUID},
        {
            "function": "nvmlDeviceGetMemoryInfo",
            "arguments": [UUID],
            "answer": {"total": 81559 * MIB, "free": 70000 * MIB, "used": 11559 * MIB},
        },
    ]
    for size in held:
        others = [{"pid": 1, "usedGpuMemory": 4000 * MIB}]
        mine = [{"pid": 0, "usedGpuMemory": size}]
        function = "nvmlDeviceGetComputeRunningProcesses"
        calls.append({"function": function, "arguments": [UUID], "answer": others + mine})
    for call in calls:
        if call["function"] in errors:
            call["error"] = errors[call["function"]]
    path.write_text(json.dumps({"calls": calls}))
    return RecordedNvml(path)


def _framework(*peaks: int) -> Any:
    """TensorFlow's figures, one for each question."""
    left = list(peaks)
    return SimpleNamespace(
        reset_memory_stats=lambda device: None,
        get_memory_info=lambda device: {"peak": left.pop(0)},
    )


def test_the_host_meter_measures_what_a_fit_adds_to_a_warm_process() -> None:
    """In a process of its own, where nobody else frees memory meanwhile."""
    process = multiprocessing.get_context("spawn").Process(target=_measure_an_array)
    process.start()
    process.join()
    assert process.exitcode == 0, "its output says why"
    process.close()


def _measure_an_array() -> None:
    meter = HostMeter()
    meter.reset()
    before = meter.peak()
    held = np.ones(40 * MIB, np.uint8)
    with_it = meter.peak()
    del held
    after = meter.peak()
    assert before is not None and with_it is not None and after is not None
    assert 35 * MIB < with_it.size_bytes - before.size_bytes < 60 * MIB
    # The peak, not what is held; Linux counts pages a little late.
    assert after.size_bytes == pytest.approx(with_it.size_bytes, abs=4 * MIB)
    meter.reset()
    again = meter.peak()
    assert again is not None and again.size_bytes < after.size_bytes - 30 * MIB


def test_a_gpu_is_tensorflows_peak_and_the_context_beside_it(tmp_path: Path) -> None:
    library = _library(tmp_path / "nvml.json", [1500 * MIB, 3600 * MIB, 3600 * MIB])
    framework = _framework(900 * MIB, 3000 * MIB, 200 * MIB)
    meter = GpuMeter(UUID, "NVIDIA H100", Nvml(library), framework)
    sizes = []
    for _ in range(3):
        meter.reset()
        sizes.append(meter.peak())
    assert sizes == [
        Peak(1500 * MIB, 900 * MIB, 1500 * MIB),
        Peak(3600 * MIB, 3000 * MIB, 3600 * MIB),
        # The pool of the large fit before is held still, and is not needed by this one.
        Peak(800 * MIB, 200 * MIB, 3600 * MIB),
    ]


@pytest.mark.parametrize(
    "library",
    [
        {"held": [None]},
        {"held": [1], "nvmlInit": "Driver Not Loaded"},
        {"held": [1], "nvmlDeviceGetComputeRunningProcesses": "Insufficient Permissions"},
    ],
    ids=str,
)
def test_what_the_driver_does_not_tell_is_allowed_for(
    library: dict[str, Any], tmp_path: Path
) -> None:
    driver = Nvml(_library(tmp_path / "nvml.json", **library))
    peak = GpuMeter(UUID, "NVIDIA H100", driver, _framework(900 * MIB)).peak()
    assert peak == Peak(1500 * MIB, 900 * MIB, None)


def test_the_driver_reports_free_memory(tmp_path: Path) -> None:
    path = tmp_path / "nvml.json"
    assert Nvml(_library(path, [1])).free_bytes(UUID) == 70000 * MIB
    refusing = _library(path, [1], nvmlDeviceGetMemoryInfo="GPU is lost")
    assert Nvml(refusing).free_bytes(UUID) is None


def test_free_is_what_the_driver_says_and_this_process_holds(tmp_path: Path) -> None:
    path = tmp_path / "nvml.json"
    driver = Nvml(_library(path, [2000 * MIB]))
    meter = GpuMeter(UUID, "NVIDIA H100", driver, None, left_bytes=4096 * MIB)
    assert meter.free_bytes() == (70000 + 2000 - 4096) * MIB
    assert GpuMeter(UUID, "NVIDIA H100", driver, None).free_bytes() is None  # nobody asked for it
    silent = Nvml(_library(path, [1], nvmlDeviceGetMemoryInfo="GPU is lost"))
    assert GpuMeter(UUID, "NVIDIA H100", silent, None, left_bytes=1).free_bytes() is None


def test_a_process_that_keeps_much_is_reported(tmp_path: Path) -> None:
    held = [IDLE_BYTES, IDLE_BYTES + 1, None]
    driver = Nvml(_library(tmp_path / "nvml.json", held))
    assert not GpuMeter(UUID, "NVIDIA H100", driver, None).is_oversized()  # it has the card alone
    meter = GpuMeter(UUID, "NVIDIA H100", driver, None, is_shared=True)
    assert [meter.is_oversized() for _ in held] == [False, True, False]


def test_a_fit_on_several_gpus_is_not_measured() -> None:
    """What a replica needs tells nothing of a fit on one card."""
    for device in ("gpu GPU-a,GPU-b", "gpu simulated-0,simulated-1"):
        meter = meter_of(device)
        meter.reset()
        assert meter.peak() is None and meter.free_bytes() is None and not meter.is_oversized()
    assert isinstance(meter_of("gpu simulated-0"), HostMeter)
