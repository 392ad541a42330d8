"""An HDF5 file is whole on the disk, or its refusal is an error and the process lives."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusal import refused_beyond

from fitfleet.worker.state.hdf5 import created


def fill(file: Any) -> None:
    """Groups, attributes and arrays of many sizes, some written twice, more than HDF5 caches."""
    rng = random.Random(0)
    for number in range(300):
        group = file.create_group(f"layers/{number}/vars")
        group.attrs["name"] = "n" * rng.randrange(200)
        group.create_dataset("0", data=np.full(rng.randrange(1, 4000), number, "float32"))
    for number in range(0, 300, 7):
        file[f"layers/{number}/vars/0"][:1] = -1.0
        del file[f"layers/{number + 1}"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a file, written over an older and longer one."""
    path = tmp_path_factory.mktemp("whole") / "whole.h5"
    path.write_bytes(bytes(10**7))
    with created(path) as file:
        fill(file)
    return path


def contents(path: Path) -> dict[str, Any]:
    """The arrays and attributes in a file."""
    items: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        items[name] = item[()].tobytes() if isinstance(item, h5py.Dataset) else dict(item.attrs)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return items


def test_it_is_as_hdf5_writes_it(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "plain.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    assert contents(whole) == contents(path)
    assert whole.stat().st_size < 10**7


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_refusal_anywhere_is_an_error_of_the_system(
    part: float, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "ours.h5"
    limit = int(part * whole.stat().st_size)
    with refused_beyond(limit), pytest.raises(OSError, match="File too large"), created(path) as h5:
        fill(h5)
    assert path.stat().st_size <= limit
    assert not h5  # it is closed
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0


def test_a_disk_without_space_is_an_error() -> None:
    with pytest.raises(OSError, match="No space left"), created(Path("/dev/full")) as file:
        fill(file)


def test_an_error_of_the_caller_is_his(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="absent"), created(tmp_path / "ours.h5") as file:
        file["absent"]
    assert not file
