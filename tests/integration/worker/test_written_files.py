"""Files that callbacks write: those of plain Keras, once, however often a job was started."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import failing_layers
import h5py
import keras
import numpy as np
import pytest
from fleets import DrainAfter, Fleet

from fitfleet.client import files
from fitfleet.client.files import JobFile
from fitfleet.db.jobs import jobs
from fitfleet.errors import StorageError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.storage import sha256
from fitfleet.weights import callback_files

WRITERS = [
    {"ModelCheckpoint": {"filepath": "best.keras", "save_best_only": True}},
    {"ModelCheckpoint": {"filepath": "all/{epoch:02d}.weights.h5", "save_weights_only": True}},
    {"CSVLogger": {"filename": "log.csv"}},
]


@pytest.fixture
def writer(job: dict[str, Any]) -> dict[str, Any]:
    # So large a rate that an epoch is worse than the one before it.
    adam = {"Adam": {"learning_rate": 0.3}}
    return {**job, "optimizer": adam, "epochs": 5, "callbacks": WRITERS}


def _files(fleet: Fleet, row: Any) -> dict[str, JobFile]:
    path = fleet.artifact(row)
    return {file.name: file for file in files.of(path, fleet.settings, sha256(path))}


def _model(file: JobFile, folder: Path) -> Any:
    return keras.saving.load_model(file.copy(folder / "model.keras"))


def _weights(content: bytes) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(
            lambda name, item: arrays.update({name: item[()]}) if hasattr(item, "dtype") else None
        )
    return arrays


def _assert_same(left: dict[str, JobFile], right: dict[str, JobFile], folder: Path) -> None:
    assert left.keys() == right.keys()
    assert left["log.csv"].read() == right["log.csv"].read()
    models = [_model(each["best.keras"], folder) for each in (left, right)]
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    assert models[0].optimizer.iterations.numpy() == models[1].optimizer.iterations.numpy()
    for name in (name for name in left if name.startswith("all/")):
        one, other = _weights(left[name].read()), _weights(right[name].read())
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one)


def test_they_are_those_of_the_epochs_and_of_the_best_one(
    writer: dict[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    """The best model is that of its epoch, whole, and what was logged is what SQL has."""
    row = fleet.run(**writer)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert row.engine == "fit" and "a callback saves the model" in str(row.engine_reason)
    written = _files(fleet, row)
    names = [f"all/{epoch:02d}.weights.h5" for epoch in range(1, 6)]
    assert list(written) == [*names, "best.keras", "log.csv"]
    logged = list(csv.DictReader(io.StringIO(written["log.csv"].read().decode())))
    assert [int(line["epoch"]) for line in logged] == list(range(5))
    losses = [float(line["val_loss"]) for line in logged]
    best = int(np.argmin(losses))
    assert best < 4, "this job is to be worse after its best epoch"
    model = _model(written["best.keras"], tmp_path)
    assert model.optimizer.iterations.numpy() == 5 * (best + 1)  # batches of 8 of 40 rows
    of_best = _weights(written[names[best]].read())
    kept = [of_best[name] for name in sorted(of_best) if name.startswith("layers/")]
    for variable, array in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(variable, array)
    with h5py.File(writer["dataset"], "r") as data:
        value = model.evaluate(data["x_val"][()], data["y_val"][()], batch_size=8, verbose=0)
    assert value == pytest.approx(losses[best], rel=1e-5)
    assert not list(Path(tempfile.gettempdir()).glob("files-*"))


def test_a_fit_drained_twice_ends_with_the_files_of_the_straight_one(
    writer: dict[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    straight = fleet.run(**writer, experiment="straight")
    torn = fleet.submit(**writer, experiment="torn")
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1, 2])
    for _ in range(2):
        fleet.attempt()
        fleet.child.is_draining = False
    fleet.attempt()
    row = fleet.row(torn)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert [a["first_epoch"] for a in fleet.attempts(torn)] == [0, 2, 3]
    _assert_same(_files(fleet, row), _files(fleet, straight), tmp_path)


def test_an_extended_fit_continues_its_files(
    writer: dict[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    straight = fleet.run(**writer, experiment="straight")
    short = fleet.run(**{**writer, "epochs": 3}, experiment="short")
    with fleet.database.begin() as c:
        assert jobs.extend(c, short.id, 5)
    fleet.attempt()
    _assert_same(_files(fleet, fleet.row(short.id)), _files(fleet, straight), tmp_path)


def test_a_failed_job_has_its_files_as_they_were_then(
    writer: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    """It fails in its third epoch, before a second checkpoint is due; a retry resumes as before.

    What the second attempt logs of epochs that the first had logged already is there once.
    """
    callbacks = [*WRITERS, failing_layers.GivesUp(after=2, until=str(tmp_path / "calm"))]
    trusting = {
        "trusted_modules": ("failing_layers",),
        "module_path": (str(Path(__file__).parent),),
    }
    with Fleet(sqlite_url, tmp_path, checkpoint_s=3600.0, **trusting) as fleet:
        row = fleet.run(**{**writer, "callbacks": callbacks})
        assert row.status is JobStatus.FAILED and "enough" in str(row.failure_message)
        assert row.epoch == 2 and row.checkpoint_path is not None
        path = Path(fleet.settings.storage) / row.checkpoint_path
        written = {file.name: file for file in files.of(path, fleet.settings, sha256(path))}
        assert list(written) == ["all/01.weights.h5", "all/02.weights.h5", "best.keras", "log.csv"]
        assert _epochs_logged(written["log.csv"]) == [0, 1]
        assert len(list(path.parent.glob("*.checkpoint*"))) == 1
        (tmp_path / "calm").touch()
        with fleet.database.begin() as c:
            assert jobs.retry(c, row.id)
        fleet.attempt()
        again = fleet.row(row.id)
        assert again.status is JobStatus.SUCCEEDED, again.failure_message
        assert [a["first_epoch"] for a in fleet.attempts(row.id)] == [0, 1]
        assert _epochs_logged(_files(fleet, again)["log.csv"]) == [0, 1, 2, 3, 4]


def _epochs_logged(log: JobFile) -> list[int]:
    lines = csv.DictReader(io.StringIO(log.read().decode()))
    return [int(line["epoch"]) for line in lines]


def test_files_too_large_to_be_read_again_are_the_users_error(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large.keras").write_bytes(b"x" * 4096)
    with h5py.File(tmp_path / "job.h5", "w") as file, pytest.raises(Exception) as refused:
        callback_files.pack(file, tmp_path / "files", Settings(max_dataset_bytes=1024))
    assert "4,096 bytes of files, above the setting max_dataset_bytes=1,024" in str(refused.value)


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x", ""])
def test_a_swapped_file_writes_nothing_outside(name: str, tmp_path: Path) -> None:
    path, folder = tmp_path / "job.h5", tmp_path / "inside" / "folder"
    folder.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        item = file.create_dataset(f"{callback_files.GROUP}/000000", data=np.zeros(3, "u1"))
        item.attrs["name"], item.attrs["sha256"] = name, "0" * 64
    settings = Settings(cache=str(tmp_path / "cache"))
    with pytest.raises(StorageError, match="is not a file of a callback"):
        callback_files.unpack(path, folder, settings)
    assert not list(folder.iterdir())


def test_a_changed_content_is_reported(tmp_path: Path) -> None:
    path, folder = tmp_path / "job.h5", tmp_path / "files"
    folder.mkdir()
    (folder / "a.csv").write_text("one")
    settings = Settings(cache=str(tmp_path / "cache"))
    with h5py.File(path, "w") as file:
        callback_files.pack(file, folder, settings)
        file[f"{callback_files.GROUP}/000000"][0] = 7
    with pytest.raises(StorageError, match=r"a\.csv is not what was written"):
        callback_files.read(path, "a.csv", settings)


def test_a_value_that_no_epoch_has_ends_the_job_with_a_sentence(
    job: dict[str, Any], data: Path, fleet: Fleet
) -> None:
    """There are no validation data, which only the worker knows."""
    names = {"path": str(data), "x_val": False, "y_val": False}
    callback = {"ModelCheckpoint": {"filepath": "{val_loss:.2f}.keras"}}
    row = fleet.run(**{**job, "dataset": names, "callbacks": [callback]})
    assert (row.status, row.failure_class) == (JobStatus.FAILED, "user"), row.failure_message
    assert row.failure_message == (
        "callbacks: the name of ModelCheckpoint's file contains 'val_loss', and an epoch of this"
        " fit has epoch, loss; give one of these"
    )
    assert not list(Path(tempfile.gettempdir()).glob("files-*"))
