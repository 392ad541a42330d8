"""Where a dataset's path may lead: below the data root, or where an absolute path says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitfleet.data.description.description import describe
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

OUT = "leads out of the data root"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the data root, with a dataset in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    write(folder / "a.npz")
    np.save(folder / "x.npy", np.zeros((4, 1)))
    return folder


def write(path: Path) -> None:
    np.savez(path, x=np.zeros((4, 1)), y=np.zeros((4, 1)))


def rows(settings: Settings, **dataset: Any) -> int:
    info = describe(DatasetSpec(**dataset), settings)
    assert info is not None
    return info.rows


def test_a_link_that_leads_out_is_refused(folder: Path, settings: Settings, outside: Path) -> None:
    (folder / "file.npz").symlink_to(outside / "a.npz")
    (folder / "again.npz").symlink_to("file.npz")
    (folder / "sub").symlink_to(outside)
    (folder / "x.npy").symlink_to(outside / "x.npy")
    np.save(folder / "y.npy", np.zeros((4, 1)))
    for path in ("file.npz", "again.npz", "sub/a.npz", "./sub/../sub/a.npz"):
        with pytest.raises(DatasetError, match=OUT):
            rows(settings, path=path)
    with pytest.raises(DatasetError, match=OUT):
        rows(settings, files={"x": "x.npy", "y": "y.npy"}, x="x", y="y")


def test_a_link_that_stays_inside_is_followed(folder: Path, settings: Settings) -> None:
    (folder / "deep").mkdir()
    write(folder / "deep" / "a.npz")
    (folder / "link").symlink_to("deep")
    (folder / "b.npz").symlink_to(folder / "link" / "a.npz")
    assert rows(settings, path="b.npz") == rows(settings, path="link/a.npz") == 4


def test_the_data_root_itself_may_be_a_link(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    write(folder / "a.npz")
    (tmp_path / "root").symlink_to(folder)
    (folder / "b.npz").symlink_to("a.npz")
    for path in ("a.npz", "b.npz"):
        assert rows(settings.replace(data_root=str(tmp_path / "root")), path=path) == 4


@pytest.mark.parametrize("path", ["../outside/a.npz", "sub/../../outside/a.npz"])
def test_a_path_that_goes_up_is_refused(path: str, settings: Settings, outside: Path) -> None:
    with pytest.raises(DatasetError, match="leaves the data root"):
        rows(settings, path=path)


def test_an_absolute_path_is_taken_unless_the_data_root_is_all_there_is(
    folder: Path, settings: Settings, outside: Path
) -> None:
    write(folder / "a.npz")
    only = settings.replace(data_root_only=True)
    for path in (outside / "a.npz", folder / "a.npz"):
        assert rows(settings, path=str(path)) == 4
        with pytest.raises(DatasetError, match=r"is absolute, and .*data_root_only"):
            rows(only, path=str(path))
    assert rows(only, path="a.npz") == 4
    with pytest.raises(DatasetError, match="is absolute"):
        rows(only, files={"x": str(outside / "x.npy"), "y": str(outside / "x.npy")}, x="x", y="y")
