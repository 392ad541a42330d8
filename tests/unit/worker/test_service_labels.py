"""What a service measures of its host and its cards, as a recorded driver lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitfleet.errors import SettingsError
from fitfleet.settings import Settings
from fitfleet.spec.sizes import size_bytes, size_label
from fitfleet.worker.process import labels
from fitfleet.worker.process.gpus import Gpu
from fitfleet.worker.process.labels import device_bytes, host_memory_bytes, service_labels
from fitfleet.worker.process.memory_meter import IDLE_BYTES

H100 = Gpu("0", "GPU-0f3c", "NVIDIA H100 80GB HBM3", 81559 * 2**20, 0, 0)
T4 = Gpu("1", "GPU-7be0", "Tesla T4", 15360 * 2**20, 0, 0)


def test_memory_is_shared_between_the_slots() -> None:
    alone, quarter = (
        size_bytes(service_labels(Settings(slots=slots), [])["memory"]) for slots in (1, 4)
    )
    assert alone is not None and quarter is not None
    assert alone <= host_memory_bytes() < alone + 10**8
    assert abs(alone / 4 - quarter) <= 10**8


def test_a_card_is_named_and_all_of_its_memory_is_for_each_of_its_slots() -> None:
    found = service_labels(Settings(slots=2), [H100, H100])
    assert found["gpus"] == "2"
    assert (found["gpu"], found["gpu_memory"]) == ("NVIDIA H100 80GB HBM3", "85.5GB")
    # Less what the idle process of another slot may keep.
    assert service_labels(Settings(slots=3), [H100, H100])["gpu_memory"] == "83.8GB"


def test_unlike_cards_are_the_least_of_them() -> None:
    found = service_labels(Settings(slots=2), [H100, T4])
    assert found["gpu_memory"] == "16.1GB" and "gpu" not in found


def test_others_who_use_a_card_keep_what_is_left_free() -> None:
    settings = Settings(slots=3, min_free_gpu_bytes=4 * 2**30)
    assert service_labels(settings, [H100, T4])["gpu_memory"] == "10.1GB"
    whole, small = device_bytes(settings, [H100, T4])[:2]
    assert whole == 81559 * 2**20 - 4 * 2**30 - IDLE_BYTES
    assert small == 15360 * 2**20 - 4 * 2**30 - IDLE_BYTES
    greedy = settings.replace(min_free_gpu_bytes=15 * 2**30)
    with pytest.raises(SettingsError, match=r"GPU 1 \(Tesla T4\) has 16.1GB, of which nothing"):
        service_labels(greedy, [H100, T4])


def test_on_the_cpu_memory_is_watched_where_there_is_a_limit() -> None:
    assert device_bytes(Settings(slots=2), []) == [None, None]
    limited = Settings(slots=2, memory_limit_bytes=3 * 10**9)
    assert device_bytes(limited, []) == [3 * 10**9] * 2
    assert service_labels(limited, [])["memory"] == "3GB"


def test_labels_of_the_admin_go_first() -> None:
    given = Settings(labels=("zone=a", "memory=1GB", "gpu=mine"))
    assert service_labels(given, [H100]) == {
        "gpu": "mine",
        "gpu_memory": "85.5GB",
        "memory": "1GB",
        "zone": "a",
    }
    with pytest.raises(SettingsError, match="labels: 'two words'"):
        service_labels(Settings(labels=("two words",)), [])


def test_a_container_has_the_memory_of_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(labels, "_CONTAINER", limit)
    limit.write_text(f"{3 * 10**8}\n")
    assert size_label(host_memory_bytes()) == "0.3GB"
    limit.write_text("max\n")
    assert host_memory_bytes() > 3 * 10**8
