"""File names stay inside the storage, and a file is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitfleet.errors import StorageError
from fitfleet.settings import Settings
from fitfleet.storage import Storage, sha256, write_document
from fitfleet.weights.files import has_digest, read_document, read_weights


@given(name=st.text(max_size=200))
def test_no_experiment_name_leaves_the_root(name: str) -> None:
    path = Storage("/root").absolute(Storage("/root").final(name, 7, 1))
    assert path.resolve().parts[:2] == ("/", "root")
    assert len(path.resolve().parts) == 5
    assert len(path.parts[2]) <= 100


@given(left=st.text(max_size=50), right=st.text(max_size=50))
def test_two_experiments_share_no_folder(left: str, right: str) -> None:
    storage = Storage("/root")
    assert (storage.final(left, 1, 1) == storage.final(right, 1, 1)) == (left == right)


def test_a_draft_that_is_not_published_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    name = storage.final("digits", 1, 1)
    with storage.draft(name) as draft:
        draft.path.write_bytes(b"half")
    assert list(tmp_path.rglob("*.h5")) == []


def test_publishing_twice_is_publishing_once(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    name = storage.final("digits", 1, 1)
    with storage.draft(name) as draft:
        draft.path.write_bytes(b"whole")
        draft.publish()
        draft.publish()
    assert storage.absolute(name).read_bytes() == b"whole"
    assert sha256(storage.absolute(name)).startswith("5d5766cf2d78")
    assert [path.name for path in tmp_path.rglob("*.h5")] == ["attempt-1.weights.h5"]


def test_a_pipe_in_place_of_a_file_has_no_digest(tmp_path: Path) -> None:
    """It would be read for ever."""
    os.mkfifo(tmp_path / "x.h5")
    with pytest.raises(OSError, match="not a regular file"):
        sha256(tmp_path / "x.h5")
    with pytest.raises(StorageError, match="cannot be read: it is not a regular file"):
        has_digest(tmp_path / "x.h5", "a" * 64)
    assert has_digest(tmp_path / "x.h5", None)


def test_a_storage_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = Storage(tmp_path / "file")
    with (
        pytest.raises(StorageError, match="cannot be written: Not a directory"),
        storage.draft(storage.final("digits", 1, 1)),
    ):
        pass


def test_weights_are_read_without_our_group_and_the_optimizer(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(3)
        file["optimizer/vars/0"] = np.ones(3)
        write_document(file, {"history": ["ä" * 70_000]})
    path, settings = tmp_path / "w.weights.h5", Settings(cache=str(tmp_path / "cache"))
    assert list(read_weights(path, settings)) == ["layers/dense/vars/0"]
    assert read_document(path, settings) == {"history": ["ä" * 70_000]}


@pytest.mark.parametrize("content", [b"", b"not HDF5"])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(content)
    with pytest.raises(StorageError, match=r"w\.weights\.h5: (is empty|not a readable HDF5 file)"):
        read_weights(tmp_path / "w.weights.h5", Settings(cache=str(tmp_path / "cache")))


def test_an_attempt_removes_only_what_is_older_than_itself(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    names = [storage.checkpoint("digits", 1, attempt, 5) for attempt in (1, 2, 3)]
    names += [storage.checkpoint("digits", 1, 2, epoch) for epoch in (4, 6, 10)]
    names += [storage.final("digits", 1, attempt) for attempt in (1, 2, 3)]
    folder = tmp_path / "digits" / "1"
    folder.mkdir(parents=True)
    drafts = [folder / f".attempt-{n}.{'0a' * 16}.weights.h5" for n in (1, 2, 3)]
    for path in [*map(storage.absolute, names), *drafts, folder / "notes.txt"]:
        path.touch()
    old = {Path(name).name for name in storage.outdated("digits", 1, 2, 6)}
    assert old == {
        "attempt-1.epoch-5.checkpoint.weights.h5",
        "attempt-2.epoch-5.checkpoint.weights.h5",
        "attempt-2.epoch-4.checkpoint.weights.h5",
        drafts[0].name,
    }
    more = {Path(name).name for name in storage.outdated("digits", 1, 2)} - old
    assert more == {f"attempt-2.epoch-{n}.checkpoint.weights.h5" for n in (6, 10)}
    assert storage.outdated("digits", 2, 1) == []
