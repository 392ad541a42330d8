"""Keras's TensorBoard on a worker: its event files are the job's, each step once."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from fleets import DrainAfter, Fleet, KilledInside

from fitfleet.client import files
from fitfleet.client.fitted_job import FittedJob
from fitfleet.states import JobStatus
from fitfleet.storage import sha256
from fitfleet.worker.callbacks.tensorboard import Summaries

BOARD = {"TensorBoard": {"log_dir": "board", "histogram_freq": 2, "update_freq": 3}}


@pytest.fixture
def watched(job: dict[str, Any]) -> dict[str, Any]:
    return {**job, "epochs": 4, "callbacks": [BOARD]}


def _events(folder: Path) -> dict[tuple[str, str], list[tuple[int, Any]]]:
    """(run, tag) -> (step, value) of all event files in a folder, in the order of their names."""
    found: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for path in sorted(folder.rglob("*.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                key = (path.parent.name, value.tag)
                found.setdefault(key, []).append((event.step, tf.make_ndarray(value.tensor)))
    return found


def _written(fleet: Fleet, job_id: int, folder: Path) -> dict[tuple[str, str], Any]:
    row = fleet.row(job_id)
    path = fleet.artifact(row)
    for file in files.of(path, fleet.settings, sha256(path)):
        file.copy(folder / file.name)
    return _events(folder)


def _assert_same(left: dict[Any, Any], right: dict[Any, Any]) -> None:
    assert left.keys() == right.keys()
    for key, expected in left.items():
        assert [step for step, _ in right[key]] == [step for step, _ in expected], key
        if key == ("train", "keras"):  # the model's config, with names of its process
            continue
        for (_, one), (_, other) in zip(expected, right[key], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(key))


def test_they_hold_each_epoch_and_batch_and_histogram(
    watched: dict[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    row = fleet.run(**watched)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert row.engine == "fit"
    events = _written(fleet, row.id, tmp_path / "here")
    curve = {(epoch, phase, name): value for epoch, phase, name, value in fleet.curve(row.id)}
    for run, phase in (("train", "train"), ("validation", "val")):
        logged = events[run, "epoch_loss"]
        assert [step for step, _ in logged] == [0, 1, 2, 3]
        for step, value in logged:
            assert value == np.float32(curve[step + 1, phase, "loss"]), (run, step)
    assert [step for step, _ in events["train", "batch_loss"]] == [3, 6, 9, 12, 15, 18]
    histograms = {tag: rows for (_, tag), rows in events.items() if tag.endswith("/histogram")}
    assert len(histograms) == 4  # two dense layers
    for rows in histograms.values():
        assert [step for step, _ in rows] == [0, 2]
        assert all(table.shape == (30, 3) for _, table in rows)
    assert len(events["train", "keras"]) == 1


@pytest.mark.slow
def test_a_fit_drained_twice_and_killed_once_has_no_step_twice(
    watched: dict[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    straight = fleet.run(**watched, experiment="straight")
    torn = fleet.submit(**watched, experiment="torn")
    engines = DrainAfter(fleet.child.engines, fleet.child, [0])
    fleet.child.engines = KilledInside(engines, [2])
    for _ in range(3):
        fleet.attempt()
        fleet.child.is_draining = False
    row = fleet.row(torn)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert len(fleet.attempts(torn)) == 3
    expected = _written(fleet, straight.id, tmp_path / "straight")
    _assert_same(expected, _written(fleet, torn, tmp_path / "torn"))


def test_a_job_that_has_not_ended_has_the_files_of_its_checkpoint(
    watched: dict[str, Any], fleet: Fleet, tmp_path: Path
) -> None:
    job_id = fleet.submit(**{**watched, "callbacks": [BOARD, {"CSVLogger": {"filename": "a.csv"}}]})
    job = FittedJob(fleet.database, fleet.settings, fleet.row(job_id))
    assert job.files == []
    fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
    fleet.attempt()
    assert fleet.row(job_id).status is JobStatus.QUEUED
    written = {file.name: file for file in job.files}
    assert written["a.csv"].read().decode().splitlines()[-1].startswith("1,")
    for name, file in written.items():
        file.copy(tmp_path / "here" / name)
    assert [step for step, _ in _events(tmp_path / "here")["train", "epoch_loss"]] == [0, 1]


def test_no_package_of_tensorboard_is_needed(
    watched: dict[str, Any], fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.setitem(sys.modules, name, None)
    board = {**BOARD["TensorBoard"], "write_images": True, "write_steps_per_second": True}
    row = fleet.run(**{**watched, "callbacks": [{"TensorBoard": board}]})
    assert row.status is JobStatus.SUCCEEDED, row.failure_message


@pytest.mark.parametrize(
    "values", [np.linspace(-1.0, 3.0, 100), np.full(7, 2.0), np.zeros(0)], ids=str
)
def test_a_histogram_is_that_of_tensorboard(values: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    for name, of in (("own", Summaries()), ("theirs", tf.summary)):
        with tf.summary.create_file_writer(str(tmp_path / name)).as_default():
            of.histogram("weights", tf.constant(values), step=1)
    own, theirs = _events(tmp_path / "own"), _events(tmp_path / "theirs")
    ((_, one),), ((_, other),) = own["own", "weights"], theirs["theirs", "weights"]
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_class_derived_from_one_that_writes_writes_among_the_jobs_files(
    watched: dict[str, Any], sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("own_writers")
    exec(
        "import keras\n"
        "class Board(keras.callbacks.TensorBoard):\n    pass\n"
        "class Log(keras.callbacks.CSVLogger):\n"
        "    def __init__(self):\n        super().__init__('own.csv')\n"
        "class Best(keras.callbacks.ModelCheckpoint):\n    pass\n",
        vars(module),
    )
    monkeypatch.setitem(sys.modules, "own_writers", module)
    monkeypatch.chdir(tmp_path)
    best: Any = vars(module)["Best"]("best.keras", save_best_only=True)
    own = [vars(module)["Board"]("board"), vars(module)["Log"](), best]
    with Fleet(sqlite_url, tmp_path / "fleet", trusted_modules=("own_writers",)) as fleet:
        job_id = fleet.submit(**{**watched, "callbacks": own})
        fleet.child.engines = DrainAfter(fleet.child.engines, fleet.child, [1])
        fleet.attempt()
        fleet.child.is_draining = False
        fleet.attempt()
        row = fleet.row(job_id)
        assert row.status is JobStatus.SUCCEEDED, row.failure_message
        path = fleet.artifact(row)
        written = {file.name: file for file in files.of(path, fleet.settings, sha256(path))}
    assert {name.partition("/")[0] for name in written} == {"best.keras", "board", "own.csv"}
    assert len(written["own.csv"].read().decode().splitlines()) == 5
    assert not list(tmp_path.glob("*.csv")) and not list(tmp_path.glob("*.keras"))
