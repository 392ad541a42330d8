"""Weights files are untrusted: what h5py or Keras would follow out of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fitfleet.errors import StorageError
from fitfleet.settings import Settings
from fitfleet.storage import Storage, sha256, write_document
from fitfleet.weights.files import checked, read_document, read_weights
from fitfleet.weights.stored_weights import keep


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(storage=str(tmp_path / "storage"), cache=str(tmp_path / "cache"))


def external_storage(file: Any, secret: Path) -> None:
    file.create_dataset("layers/dense/vars/0", (6,), "u1", external=[(str(secret), 0, 6)])


def external_link(file: Any, secret: Path) -> None:
    file["layers/dense/vars/0"] = h5py.ExternalLink(str(secret), "/k")


def soft_link(file: Any, secret: Path) -> None:
    file["k"] = np.ones(3)
    file["layers/dense/vars/0"] = h5py.SoftLink("/k")


def virtual(file: Any, secret: Path) -> None:
    layout = h5py.VirtualLayout((6,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "k", (6,))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def bomb(file: Any, secret: Path) -> None:
    file.create_dataset("layers/dense/vars/0", (2**33,), "u1", chunks=(2**20,), compression="gzip")


@pytest.mark.parametrize("make", [external_storage, external_link, soft_link, virtual, bomb])
def test_a_file_that_leads_elsewhere_or_grows_is_read_by_nobody(
    make: Callable[[Any, Path], None], tmp_path: Path, settings: Settings
) -> None:
    secret, path = tmp_path / "secret.h5", tmp_path / "w.weights.h5"
    with h5py.File(secret, "w") as file:
        file["k"] = np.arange(6.0)
    with h5py.File(path, "w") as file:
        make(file, secret)
        write_document(file, {"spec": "{}"})
    for read in (read_weights, read_document, keep):
        with pytest.raises(StorageError, match=r"w\.weights\.h5.*layers/dense/vars/0"):
            read(path, settings)


def test_a_swapped_file_is_detected_by_its_sha256(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones(3)
    digest = sha256(path)
    assert checked(path, settings, digest) == path
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/0"][0] = 2
    with pytest.raises(StorageError, match="is not the file that was written"):
        checked(path, settings, digest)


def test_equal_weights_are_kept_once_whoever_wrote_them(tmp_path: Path, settings: Settings) -> None:
    for name, more in (("a", {}), ("b", {"compression": "gzip"})):
        with h5py.File(tmp_path / f"{name}.weights.h5", "w") as file:
            file.create_dataset("layers/dense/vars/0", data=np.ones(3), **more)
            file["optimizer/vars/0"] = 1
    first, second = (keep(tmp_path / f"{name}.weights.h5", settings) for name in "ab")
    assert first == second
    (kept,) = (tmp_path / "storage" / ".initial").iterdir()
    assert kept.name == f"{first.sha256}.weights.h5" and sha256(kept) == first.sha256
    assert list(read_weights(kept, settings)) == ["layers/dense/vars/0"]


@pytest.mark.parametrize("path", ["../victim.txt", "/etc/passwd", "a/../../victim.txt", "out/x"])
def test_no_path_of_a_row_leaves_the_storage(path: str, tmp_path: Path) -> None:
    root = tmp_path / "storage"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is not a path inside the storage"):
        Storage(root).absolute(path)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({}, "epoch: Field required"),
        (
            {"epoch": 1, "has_stopped": False, "history": 5, "callbacks": []},
            "history: Input should",
        ),
        ({"epoch": 1, "has_stopped": False, "history": [], "callbacks": 5}, "callbacks: Input"),
        (
            {"epoch": 1, "has_stopped": False, "history": [[0, {"loss": "x"}]], "callbacks": []},
            "history.0.1.loss: Input should be a valid number",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused_in_one_sentence(
    document: dict[str, Any], says: str, tmp_path: Path, settings: Settings
) -> None:
    from fitfleet.worker.state import checkpoint

    path = tmp_path / "damaged.weights.h5"
    with h5py.File(path, "w") as file:
        write_document(file, document)
    with pytest.raises(StorageError, match=f"is not a checkpoint: {says}") as caught:
        checkpoint.read(path, settings)
    assert "\n" not in str(caught.value)
