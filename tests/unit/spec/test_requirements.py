"""What jobs ask of their slot, what slots are labelled with, and what fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fitfleet.errors import SettingsError, SpecError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobOptions
from fitfleet.spec.requirements import (
    gpu_count,
    gpus_of,
    measured_memory,
    missing,
    requirements_of,
    route_of,
    shared_labels,
    with_measured,
    worker_labels,
)
from fitfleet.spec.sizes import size_bytes, size_label
from fitfleet.spec.submission import job_options

H100 = {"gpu": "NVIDIA H100 80GB HBM3", "gpu_memory": "85.5GB", "memory": "64GB", "zone": "a"}


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("6GB", 6_000_000_000),
        ("6 GiB", 6 * 2**30),
        ("1.5MB", 1_500_000),
        ("10B", 10),
        (7, 7),
        ("6", None),
        ("6gb", None),
        ("0GB", None),
        ("-1GB", None),
        ("9" * 400 + "GB", None),
        (True, None),
        (0, None),
        (2**62, None),
    ],
)
def test_sizes_are_numbers_with_a_unit(written: Any, count: int | None) -> None:
    assert size_bytes(written) == count


def test_measured_sizes_are_rounded_down_so_that_like_hosts_are_alike() -> None:
    assert size_label(85_520_809_984) == "85.5GB" == size_label(85_599_999_999)
    assert size_bytes(size_label(6144 * 2**20)) == 6_400_000_000


@pytest.mark.parametrize(
    ("options", "lacking"),
    [
        ({}, []),
        ({"requires": {"gpu": "H100"}}, []),
        ({"requires": {"gpu": "h100 80gb"}}, []),
        ({"requires": {"gpu": "H10"}}, ["gpu=H10"]),
        ({"requires": {"zone": "A"}}, ["zone=A"]),
        ({"requires": {"rack": "7", "zone": "a"}}, ["rack=7"]),
        ({"gpus": 1, "gpu_memory": "80GB", "memory": "64GB"}, []),
        ({"gpu_memory": "86GB"}, ["gpu_memory=86GB"]),
        ({"memory": "64.5GB"}, ["memory=64.5GB"]),
        ({"gpus": 2}, ["gpus=2"]),
    ],
)
def test_what_a_slot_lacks_is_named(options: dict[str, Any], lacking: list[str]) -> None:
    assert missing(requirements_of(JobOptions(**options)), H100) == lacking


@pytest.mark.parametrize(("said", "count"), [("2", 2), ("1", 1), ("many", 0)])
def test_a_service_says_how_many_gpus_it_has(said: str, count: int) -> None:
    assert gpu_count({"gpu_memory": "80GB", "gpus": said}) == count
    assert gpu_count({"gpus": said}) == 0
    assert gpus_of(requirements_of(JobOptions(gpus=2))) == 2 and gpus_of("") == 1


def test_a_slot_without_labels_has_nothing_that_is_asked() -> None:
    asked = requirements_of(JobOptions(requires={"zone": "a"}, gpus=1, gpu_memory=1, memory=1))
    assert [part.split("=")[0] for part in missing(asked, {})] == [
        "zone",
        "gpus",
        "gpu_memory",
        "memory",
    ]


def test_the_same_requirements_are_one_text_and_none_are_empty() -> None:
    one = JobOptions(requires={"b": "1", "a": "2"}, memory="1GB")
    other = JobOptions(requires={"a": "2", "b": "1"}, memory=1_000_000_000)
    assert requirements_of(one) == requirements_of(other)
    assert requirements_of(JobOptions()) == ""


def test_slots_with_equal_labels_share_a_route() -> None:
    assert route_of("cpu", {"a": "1", "b": "2"}) == route_of("cpu", {"b": "2", "a": "1"})
    assert route_of("cpu", {"a": "1"}) != route_of("gpu", {"a": "1"}) != route_of("gpu", {})
    assert route_of("cpu", {}) == ""


def test_a_service_of_unlike_cards_has_what_all_of_them_have() -> None:
    cards = [{"gpu": "A", "gpu_memory": "40GB"}, {"gpu": "B", "gpu_memory": "9.5GB"}]
    assert shared_labels(cards) == {"gpu_memory": "9.5GB"}
    assert shared_labels(cards[:1] * 2) == cards[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"requires": "gpu"}, "requires: 'gpu' is not a mapping"),
        ({"requires": {"": "x"}}, "is not a label name"),
        ({"requires": {"a": ""}}, "requires.a: '' is not a label value"),
        ({"requires": {"a": [1]}}, "requires.a"),
        ({"requires": {"a": "x\ny"}}, "requires.a"),
        ({"requires": {"memory": "4GB"}}, "an argument of its own: memory='6GB'"),
        ({"requires": {f"a{i}": "x" for i in range(17)}}, "at most 16"),
        ({"gpus": 0}, "gpus: 0 is not 1 to 16"),
        ({"gpus": 17}, "gpus: 17 is not 1 to 16"),
        ({"gpus": True}, "gpus"),
        ({"gpu_memory": "6"}, "gpu_memory: '6' is not a size such as '6GB'"),
        ({"memory": -1}, "memory: -1 is not a size"),
    ],
)
def test_what_can_be_no_requirement_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        job_options(Settings(), **given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["zone"], "zone"),
        (["=a"], "not a label name"),
        (["zone=a=b"], "not a label value"),
        (["memory=much"], "memory=much is not a size such as 6GB"),
    ],
)
def test_what_can_be_no_label_of_a_worker_is_refused(labels: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match="labels: ") as caught:
        worker_labels(labels)
    assert said in str(caught.value)
    assert worker_labels(["zone=a", "gpu_memory=8GB"]) == {"zone": "a", "gpu_memory": "8GB"}


def test_what_was_measured_is_missed_on_devices_of_that_kind_only() -> None:
    asked = json.dumps({"requires": {"zone": "a"}})
    measured = with_measured(asked, "gpu_memory", 6_100_000_000)
    assert measured_memory(measured) == {"gpu_memory": 6_100_000_000} and not measured_memory(asked)
    large, small = {"zone": "a", "gpu_memory": "8GB"}, {"zone": "a", "gpu_memory": "5.9GB"}
    assert missing(measured, large) == missing(measured, {"zone": "a", "memory": "1GB"}) == []
    assert missing(measured, small) == ["gpu_memory=6.1GB (measured)"]
    assert missing(measured, {"zone": "b", "gpu_memory": "8GB"}) == ["zone=a"]
    again = with_measured(measured, "gpu_memory", 10**9)
    assert measured_memory(again) == {"gpu_memory": 10**9}
