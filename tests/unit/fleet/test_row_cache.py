"""Repeats of a configuration are the rows that each would be alone, and are made once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fitfleet as ff
from fitfleet import submit
from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.identity import content_hash, content_hash_of_seeds
from fitfleet.submit import Submission


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")
    np.savez(tmp_path / "line.npz", x_train=x, y_train=y)
    return Settings(data_root=str(tmp_path))


def job(**changes: Any) -> dict[str, Any]:
    initializer = {"class_name": "GlorotUniform", "config": {"seed": 5}}
    dense = ff.layers.Dense(2, kernel_initializer=initializer)
    model = ff.Sequential([ff.layers.Input((4,)), dense, ff.layers.Dense(1)])
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 0.1}}
    shared = {"model": model, "dataset": "line.npz", "optimizer": optimizer, "loss": "mse"}
    return {**shared, "epochs": 2, **changes}


CHANGES: list[dict[str, Any]] = [
    {},
    {"seed": 1},
    {"seed": 2**63 - 1, "params": {"a": 1}},
    {"seed": 1, "fuse": False, "queue": "gpu", "priority": 3},
    {"experiment": "other", "timeout_s": 5.0},
    {"seed": np.int64(3)},
    {"seed": None},
    {"epochs": 3},
    {"shuffle": False},
    {"validation_split": 0.25, "seed": 4},
    {"dataset": {"path": "line.npz", "fold": {"kind": "kfold", "k": 4, "index": 1}}},
    {"dataset": {"path": "line.npz", "fold": {"kind": "kfold", "k": 4, "index": 2}}, "seed": 1},
]


def test_a_row_is_the_same_whatever_was_asked_before(settings: Settings) -> None:
    several = Submission(settings)
    for change in [*CHANGES, *CHANGES]:
        row = several.row(job(**change))
        assert row == Submission(settings).row(job(**change))
        assert row.content_hash == content_hash(row.spec, row.fingerprint)


def test_a_dict_that_changes_between_two_jobs_is_read_again(settings: Settings) -> None:
    submission, given = Submission(settings), job()
    first = submission.row(given)
    given["optimizer"]["config"]["learning_rate"] = 0.2
    second = submission.row({**given, "seed": 1})
    given["model"].add(ff.layers.Dense(1))
    third = submission.row({**given, "seed": 2})
    assert second.spec.optimizer["config"]["learning_rate"] == 0.2
    assert len({row.group_hash for row in (first, second, third)}) == 3
    assert second == Submission(settings).row(job(optimizer=given["optimizer"], seed=1))


def test_a_configuration_is_checked_once_for_all_its_seeds(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[int] = []
    plain = submit.job_spec
    monkeypatch.setattr(
        submit, "job_spec", lambda *a, **k: checked.append(k.get("seed", 0)) or plain(*a, **k)
    )
    submission = Submission(settings)
    rates = [{"class_name": "SGD", "config": {"learning_rate": rate}} for rate in (0.1, 0.2)]
    asked = [job(seed=s, optimizer=copy.deepcopy(r)) for s in range(9) for r in rates]
    rows = [submission.row(document) for document in asked]
    assert checked == [0, 0]
    assert len({row.content_hash for row in rows}) == 18
    assert len({row.group_hash for row in rows}) == 2


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", True])
def test_a_bad_seed_is_refused_as_before(settings: Settings, seed: Any) -> None:
    submission = Submission(settings)
    submission.row(job())
    with pytest.raises(SpecError) as refused:
        submission.row(job(seed=seed))
    with pytest.raises(SpecError) as alone:
        Submission(settings).row(job(seed=seed))
    assert str(refused.value) == str(alone.value)


def test_the_hash_of_each_seed_is_the_content_hash(settings: Settings) -> None:
    row = Submission(settings).row(job())
    of = content_hash_of_seeds(row.spec, row.fingerprint)
    for seed in (0, 1, 2**63 - 1):
        spec = row.spec.model_copy(update={"seed": seed})
        assert of(seed) == content_hash(spec, row.fingerprint)
