"""GPUs are found as a recorded driver lists them; what is not there is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fitfleet.errors import SettingsError
from fitfleet.worker.process import device
from fitfleet.worker.process.gpus import chosen_gpus, read_gpus

# What nvidia-smi 570 printed on a host with two cards.
_RECORDED = """\
0, GPU-0f3c9d1e-11aa, NVIDIA H100 80GB HBM3, 81559, 4321, 37
1, GPU-7be0aa54-22bb, NVIDIA H100 80GB HBM3, 81559, 0, [N/A]
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The driver's command, with its recorded answer."""
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{_RECORDED}END\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return command


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("requested", "visible", "indices"),
    [
        ("all", None, ["0", "1"]),
        ("all", "1", ["1"]),
        ("0", None, ["0"]),
        ("1,0", None, ["1", "0"]),
        ("GPU-7be0", "0", ["1"]),
    ],
)
def test_all_means_those_that_are_visible(
    requested: str, visible: str | None, indices: list[str]
) -> None:
    assert [gpu.index for gpu in chosen_gpus(requested, visible)] == indices


@pytest.mark.usefixtures("driver")
def test_the_driver_says_memory_and_use() -> None:
    first, second = read_gpus()
    assert (first.name, first.memory_bytes) == ("NVIDIA H100 80GB HBM3", 81559 * 2**20)
    assert (first.used_bytes, first.busy_percent, second.busy_percent) == (4321 * 2**20, 37, 0)


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"no GPU '2'; there are: 0 \(NVIDIA H100"):
        chosen_gpus("2", None)
    with pytest.raises(SettingsError, match="leaves no GPU"):
        chosen_gpus("all", "")


def test_a_host_without_a_driver_refuses_to_train_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="no NVIDIA driver"):
        chosen_gpus("all", None)


def test_a_driver_that_fails_is_quoted(driver: Path) -> None:
    driver.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver mismatch'\nexit 18\n")
    with pytest.raises(SettingsError, match="does not answer: Failed to initialize NVML"):
        read_gpus()


def test_slots_take_the_gpus_in_turn() -> None:
    assert [device.name_of("GPU-a,GPU-b", slot) for slot in range(3)] == [
        "gpu GPU-a",
        "gpu GPU-b",
        "gpu GPU-a",
    ]
    assert device.name_of("", 0) == "cpu"


def test_the_cpu_may_stand_for_gpus() -> None:
    gpus = chosen_gpus("simulated:2", None)
    assert [(gpu.index, gpu.uuid) for gpu in gpus] == [("0", "simulated-0"), ("1", "simulated-1")]
    for requested in ("simulated:", "simulated:0", "simulated:17", "simulated:x"):
        with pytest.raises(SettingsError, match="is not a number of simulated GPUs: simulated:2"):
            chosen_gpus(requested, None)


def test_a_child_sees_all_gpus_of_a_job_and_none_that_is_simulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")
    assert device.assign_all(["gpu GPU-a", "gpu GPU-b"]) == "gpu GPU-a,GPU-b"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"
    assert device.assign("simulated-0,simulated-1", 1) == "gpu simulated-1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    device.assign_all(["gpu simulated-0", "gpu simulated-1"])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
