"""Callbacks of a user's own, whose arguments are arrays and objects, in workers that die."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from plain import fit
from script_callbacks import Failing, Probe
from test_equal_to_plain_keras import assert_same_arrays
from test_gallery_examples import as_read_here

import fitfleet as ff
from fitfleet.errors import JobFailedError

pytestmark = pytest.mark.slow
X = np.random.default_rng(2).random((24, 3), "float32")
Y = X.sum(axis=1, keepdims=True)


def _given() -> dict[str, Any]:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(1)])
    return {
        "model": model, "optimizer": "adam", "loss": "mse", "dataset": (X, Y), "batch_size": 8,
        "epochs": 4, "experiment": "own callbacks",
    }  # fmt: skip


def _probe(marker: Path) -> Probe:
    return Probe(
        X, np.array([1, 2, 3], "int16"), keras.losses.MeanAbsoluteError(), [0, 2, 5], str(marker)
    )


def test_arrays_and_objects_of_a_callback_reach_each_attempt(
    fleet: ff.Fleet, tmp_path: Path
) -> None:
    """A killed worker's job is resumed, and its callback has them again; it begins anew itself."""
    job = fleet.submit(**_given(), callbacks=[_probe(tmp_path / "died")], checkpoint_epochs=1)
    job.wait(timeout_s=300, raise_on_failure=True)
    assert [attempt["first_epoch"] for attempt in job.attempts] == [0, 2]
    compiled = {"optimizer": "adam", "loss": "mse", "metrics": None}
    (tmp_path / "plain").touch()
    plain = fit(as_read_here(job, fleet), compiled, [_probe(tmp_path / "plain")])
    for metric in ("loss", "probe"):
        assert list(job.history[metric]) == [float(v) for v in plain.history[metric]], metric
    assert_same_arrays(job.load_model().get_weights(), plain.model.get_weights(), job)
    seen = [line.split()[1:3] for line in job.logs().splitlines() if line.startswith("PROBE")]
    assert seen[-2:] == [["2", "1"], ["3", "2"]]


def test_a_failed_job_has_the_files_of_its_last_epoch(fleet: ff.Fleet) -> None:
    """Written after the only checkpoint, by callbacks of Keras beside the one that fails."""
    callbacks = [
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.ModelCheckpoint("best.keras", monitor="loss", save_best_only=True),
        Failing(),
    ]
    job = fleet.submit(**_given(), callbacks=callbacks)
    with pytest.raises(JobFailedError, match="no more"):
        job.wait(timeout_s=300, raise_on_failure=True)
    files = {file.name: file for file in job.files}
    lines = csv.DictReader(io.StringIO(files["log.csv"].read().decode()))
    assert [line["epoch"] for line in lines] == ["0", "1"]
    assert list(files) == ["best.keras", "log.csv"]
