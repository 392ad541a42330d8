"""Submitting by the API is submitting: the same checks, the same hashes, by whose token it is."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clients import MakeClient, MakeToken, write_line

import fitfleet as ff
from fitfleet.api.serve import ApiServer
from fitfleet.db.accounts import access
from fitfleet.errors import DatasetError, QuotaError, SpecError

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")

CHANGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "compiled": {
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
        "metrics": ["mae"],
        "callbacks": [{"class_name": "EarlyStopping", "config": {"patience": 2}}],
        "loss_weights": 1,
        "batch_size": 16,
        "validation_split": 0.25,
    },
    "model as JSON": {
        "model": {
            "class_name": "Sequential",
            "config": {
                "layers": [
                    {"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}},
                    {"class_name": "Dense", "config": {"units": 1, "activation": "relu"}},
                ]
            },
        }
    },
    "options": {"params": {"rate": 0.1}, "priority": 3, "seed": 7, "timeout_s": 60.0},
    "split": {"validation_split": 0.25, "class_weight": None, "stop_after": "2m"},
    "fold": {"dataset": {"path": "line.npz", "fold": {"kind": "kfold", "k": 4, "index": 1}}},
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_a_job_has_the_same_hash_as_by_the_database(
    name: str, fleet: ff.Fleet, client: MakeClient, job: dict[str, Any]
) -> None:
    given = {**job, **CHANGES[name]}
    by_api = client().submit(**given)
    direct = fleet.submit(**given)
    assert (direct.id, direct.is_reused, by_api.is_reused) == (by_api.id, True, False)
    assert by_api.row == direct.row
    assert by_api.spec == direct.spec


def test_arrays_and_files_of_the_client_are_uploaded_once(
    fleet: ff.Fleet, client: MakeClient, job: dict[str, Any], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(32, 4)).astype("float32"), rng.normal(size=(32, 1))
    remote, uploaded = client(), Path(fleet.settings.storage) / "datasets"
    of_arrays = remote.submit_many([{**job, "dataset": (x, y), "seed": seed} for seed in (1, 2)])
    assert len(list(uploaded.iterdir())) == 1
    assert fleet.submit(**{**job, "dataset": (x, y), "seed": 1}).id == of_arrays[0].id
    path = write_line(tmp_path / "client" / "own.npz", scale=2.0)
    before = sorted(uploaded.iterdir())
    of_file = remote.submit(**{**job, "dataset": "own.npz"})
    assert fleet.submit(**{**job, "dataset": str(path)}).id == of_file.id
    (new,) = set(uploaded.iterdir()) - set(before)
    assert new.suffix == ".npz" and new.read_bytes() == path.read_bytes()
    remote.submit(**{**job, "dataset": str(path), "seed": 9})
    assert len(list(uploaded.iterdir())) == len(before) + 1


def test_npy_pairs_are_uploaded(client: MakeClient, job: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "client"
    np.save(folder / "x.npy", np.zeros((8, 4), "float32"))
    np.save(folder / "y.npy", np.zeros((8, 1), "float32"))
    files = {"files": {"x": "x.npy", "y": "y.npy"}, "x": "x", "y": "y"}
    job = client().submit(**{**job, "dataset": files})
    assert all(path.startswith("storage:datasets/") for path in job.spec.dataset.files.values())


def test_weights_that_a_job_starts_from_are_uploaded(
    fleet: ff.Fleet, client: MakeClient, job: dict[str, Any], tmp_path: Path
) -> None:
    import h5py

    path = tmp_path / "start.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.ones((4, 1), "float32")
        file["layers/dense/vars/1"] = np.zeros(1, "float32")
    by_api = client().submit(**job, initial_weights=str(path))
    assert fleet.submit(**job, initial_weights=str(path)).id == by_api.id
    waits = client().submit(**{**job, "seed": 5}, init_from=by_api)
    assert waits.spec.initial_weights is not None
    assert waits.spec.initial_weights.of_job == by_api.row.content_hash


def test_who_submits_is_the_user_of_the_token(
    fleet: ff.Fleet, client: MakeClient, job: dict[str, Any]
) -> None:
    client("ana").submit(**job)
    with fleet.database.read() as c:
        (newest,) = access.log(c, 1)
    assert (newest["user_name"], newest["action"], newest["target"]) == ("ana", "submit", "line")
    assert newest["token_id"]
    with pytest.raises(ff.FitfleetError, match="is of ana, and bob may change their own only"):
        client("bob").submit(**job, seed=2)
    assert len(fleet.jobs()) == 1


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"loss": "no_such_loss"}, SpecError, "no_such_loss"),
        ({"dataset": "elsewhere.npz"}, DatasetError, "'elsewhere.npz' does not exist"),
        ({"dataset": "/etc/passwd.csv"}, DatasetError, "reads below its data root only"),
        ({"dataset": "../secret.npz"}, DatasetError, "leaves the data root"),
        ({"code": ["own.py"]}, SpecError, "accepts no code"),
        ({"evaluators": ["own_scores:score"]}, SpecError, "trusted_modules"),
        ({"epochs": 0}, SpecError, "epochs"),
        ({"modle": 1}, SpecError, "modle: no such argument"),
    ],
)
def test_what_is_refused_is_so_in_a_sentence_and_nothing_is_queued(
    change: dict[str, Any], error: type[Exception], says: str,
    fleet: ff.Fleet, client: MakeClient, job: dict[str, Any],
) -> None:  # fmt: skip
    with pytest.raises(error, match=says) as refused:
        client().submit(**{**job, **change})
    assert "\n" not in str(refused.value)
    assert fleet.jobs() == []


def test_of_many_jobs_the_bad_one_is_named(
    fleet: ff.Fleet, client: MakeClient, job: dict[str, Any]
) -> None:
    bad = {**job, "dataset": "elsewhere.npz"}
    with pytest.raises(DatasetError, match=r"jobs\[1\]: dataset\.path"):
        client().submit_many([job, bad])
    assert fleet.jobs() == []


def test_warnings_of_the_server_are_shown(client: MakeClient, job: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        client().submit(**job)
    assert any("the broker" in str(warning.message) for warning in heard)


def test_a_token_above_its_quota_is_rejected_and_queues_nothing(
    server: ApiServer, token: MakeToken, fleet: ff.Fleet, job: dict[str, Any]
) -> None:
    remote = ff.connect(server.url, token=token(max_jobs=1))
    remote.submit(**job)
    with pytest.raises(QuotaError, match="would have 2 unfinished jobs, and may have 1"):
        remote.submit(**job, seed=1)
    assert len(fleet.jobs()) == 1
