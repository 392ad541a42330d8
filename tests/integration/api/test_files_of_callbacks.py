"""Files of callbacks by the API, of a job that trains: those of its newest checkpoint."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from clients import MakeClient
from support.rows import insert, new_job, register, take

import fitfleet as ff
from fitfleet.db.attempts import checkpoints
from fitfleet.errors import StorageError
from fitfleet.storage import Storage, sha256, write_document
from fitfleet.weights.callback_files import pack


def _write(fleet: ff.Fleet, job_id: int, epoch: int, folder: Path) -> Path:
    """A checkpoint with what a callback has logged until then; where it is."""
    (folder / "log.csv").write_text(f"epochs: {epoch}\n")
    name = f"here/{job_id}/attempt-1.epoch-{epoch}.checkpoint.weights.h5"
    path = Storage.of(fleet.settings).absolute(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        write_document(file, {"epoch": epoch})
        pack(file, folder, fleet.settings)
    return path


def test_they_come_with_the_newest_checkpoint(
    fleet: ff.Fleet, client: MakeClient, tmp_path: Path
) -> None:
    register(fleet.database, 1)
    (job_id,) = insert(fleet.database, new_job("a"))
    (claim,) = take(fleet.database, 1)
    folder = tmp_path / "files"
    folder.mkdir()
    here, there = fleet.job(job_id), client().job(job_id)
    assert here.files == there.files == []
    for epoch in (1, 2):
        path = _write(fleet, job_id, epoch, folder)
        name = str(path.relative_to(Storage.of(fleet.settings).root))
        with fleet.database.begin() as c:
            assert checkpoints.checkpoint(c, claim, name, epoch, sha256(path))
        for job in (here, there):
            (file,) = job.files
            assert (file.name, file.read()) == ("log.csv", f"epochs: {epoch}\n".encode())
    (file,) = here.files
    path.unlink()
    with pytest.raises(StorageError, match=r"a newer checkpoint takes the place .* job\.files"):
        file.read()
