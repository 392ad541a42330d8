"""Names of files that callbacks write: inside the job's own files, or one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from fitfleet.errors import SpecError
from fitfleet.spec.keras_objects.object_documents import is_space
from fitfleet.spec.parts.callbacks import callbacks


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("best.keras", "best.keras"),
        ("./checkpoints//best.keras", "checkpoints/best.keras"),
        ("{epoch:02d}-{val_loss:.2f}.keras", "{epoch:02d}-{val_loss:.2f}.keras"),
        ("old.h5", "old.h5"),
        (Path("a") / "b.keras", "a/b.keras"),
    ],
)
def test_a_name_is_brought_to_its_normal_form(given: Any, name: str) -> None:
    (document,) = callbacks([{"ModelCheckpoint": {"filepath": given}}])
    assert document["config"] == {"filepath": name}


def test_an_object_is_the_same_callback_as_its_short_form() -> None:
    objects = [
        keras.callbacks.ModelCheckpoint(
            "best.weights.h5",
            monitor="loss",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=0.5,
            verbose=1,
        ),
        keras.callbacks.CSVLogger("log.csv", separator=";"),
        keras.callbacks.TensorBoard("board/", histogram_freq=1, update_freq="batch"),
        keras.callbacks.TensorBoard(),
    ]
    short = [
        {
            "ModelCheckpoint": {
                "filepath": "best.weights.h5",
                "monitor": "loss",
                "save_best_only": True,
                "save_weights_only": True,
                "initial_value_threshold": 0.5,
            }
        },
        {"CSVLogger": {"filename": "log.csv", "separator": ";"}},
        {"TensorBoard": {"log_dir": "board", "histogram_freq": 1, "update_freq": "batch"}},
        "TensorBoard",
    ]
    assert callbacks(objects) == callbacks(short)


@pytest.mark.parametrize(
    ("name", "config", "sentence"),
    [
        ("ModelCheckpoint", {"filepath": "/tmp/best.keras"}, "'best.keras', and read it by job"),
        ("ModelCheckpoint", {"filepath": "../best.keras"}, "not inside the job's own files"),
        ("ModelCheckpoint", {"filepath": "a/../../best.keras"}, "not inside the job's own files"),
        ("ModelCheckpoint", {"filepath": "~/best.keras"}, "not inside the job's own files"),
        ("ModelCheckpoint", {"filepath": "a\0.keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": "a\n.keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": "c:\\best.keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": ".hidden/a.keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": "x" * 300 + ".keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": 3}, "not the name of a file"),
        ("ModelCheckpoint", {"filepath": "{epoch.__class__}.keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": "{epoch:999999999d}.keras"}, "not a file name"),
        ("ModelCheckpoint", {"filepath": "{epoch!r}.keras"}, "not a file name"),
        (
            "ModelCheckpoint",
            {"filepath": "{loss:02d}.keras"},
            "cannot be filled in: Unknown format",
        ),
        ("ModelCheckpoint", {"filepath": "best"}, "does not end in .keras"),
        ("ModelCheckpoint", {"filepath": "best.ckpt"}, "does not end in .keras"),
        (
            "ModelCheckpoint",
            {"filepath": "best.keras", "save_weights_only": True},
            "does not end in .weights.h5",
        ),
        ("ModelCheckpoint", {"filepath": "a.keras", "save_freq": 10}, "10 is not 'epoch': a job"),
        ("ModelCheckpoint", {"filepath": "a.keras", "save_best_only": 1}, "neither true nor false"),
        ("ModelCheckpoint", {}, "needs this argument"),
        ("CSVLogger", {"filename": "/var/log.csv"}, "'log.csv', and read it by job.files"),
        ("CSVLogger", {"filename": "{epoch}.csv"}, "takes no values"),
        ("CSVLogger", {"filename": "log.csv", "separator": ""}, "not one character"),
        ("TensorBoard", {"log_dir": "/tmp/board"}, "'board', and read it by job.files"),
        ("TensorBoard", {"log_dir": "board/{epoch}"}, "takes no values"),
        ("TensorBoard", {"profile_batch": 5}, "5 is a batch to profile, which workers do not do"),
        ("TensorBoard", {"embeddings_freq": 1}, "projector does not read the weights"),
        ("TensorBoard", {"update_freq": 0}, "neither 'epoch' nor 'batch' nor a number of batches"),
    ],
)
def test_what_is_no_name_inside_is_refused(
    name: str, config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SpecError) as refused:
        callbacks([{name: config}])
    assert sentence in str(refused.value)
    assert str(refused.value).startswith(f"callbacks[0].{name}")


def test_a_name_of_a_sweep_is_looked_at_when_it_is_chosen() -> None:
    space = {"$space": "choice", "options": ["a.keras", "b.keras"]}
    assert is_space(space)
    (document,) = callbacks([{"ModelCheckpoint": {"filepath": space}}])
    assert document["config"] == {"filepath": space}
