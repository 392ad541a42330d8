"""What the stack is trusted with is what the matrix of equality has found equal."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from fitfleet.spec.keras_names import catalog
from fitfleet.worker.engines import proven_classes

FOUND = Path(__file__).parents[2] / "integration" / "engines" / "equality.csv"
FLOAT64 = 1e-10
ONLY_IN_TEST_FUSED = frozenset({"regularizers:L1"})


def fused() -> dict[str, list[tuple[str, float | None]]]:
    """Of each part, such as "layers:Dense": (group, distance) of every pair that holds it."""
    distances = defaultdict(list)
    with FOUND.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["engine"] == "fused":
                distance = float(row["distance"]) if row["distance"] else None
                for part in row["parts"].split():
                    distances[part].append((row["group"], distance))
    return distances


PARTS = [
    f"{kind}:{name}" for kind, names in proven_classes._IN_A_STACK.items() for name in sorted(names)
]


@pytest.mark.parametrize("part", PARTS)
def test_what_goes_into_a_stack_has_been_measured_and_is_equal(part: str) -> None:
    distances = [distance for _, distance in fused()[part] if distance is not None]
    assert distances or part in ONLY_IN_TEST_FUSED, "never measured"
    assert max(distances, default=0.0) <= FLOAT64


def test_nothing_of_the_lists_is_unknown_to_keras() -> None:
    for kind, names in proven_classes._IN_A_STACK.items():
        if kind == "operations":
            assert names <= {
                operator for of in catalog._table()["operations"].values() for operator in of
            }
        elif kind == "activations":
            known = {catalog.function_name(kind, name) for name in catalog.identifiers(kind)}
            assert names <= known
        else:
            assert names <= set(catalog.class_names(kind))


def test_no_engine_of_any_pair_has_other_numbers() -> None:
    """The loop in float32 to the bit, the stack in float64; what differs is trained otherwise."""
    with FOUND.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["distance"] and row["engine"] == "loop":
                assert float(row["distance"]) == 0.0, row
