"""Fleet and Job by the API say what they say by the database, and refuse what needs the latter."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clients import MakeClient
from support.rows import commit, insert, new_job, register, take
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.api.serve import ApiServer
from fitfleet.cli.main import app
from fitfleet.client.remote import json_text
from fitfleet.client.remote.fleet import _REFUSED
from fitfleet.db.actor import Scope
from fitfleet.db.attempts import ends, metrics
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.errors import AccessError, NotFoundError, StateError, WaitTimeoutError
from fitfleet.states import FailureClass

JOB = {
    "model": {
        "class_name": "Sequential",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 4]}},
                {"class_name": "Dense", "config": {"units": 1}},
            ]
        },
    },
    "dataset": "line.npz",
    "optimizer": "sgd",
    "loss": "mse",
}


@pytest.fixture
def filled(fleet: ff.Fleet) -> list[int]:
    """Two succeeded jobs, one that failed, one that waits; odd values among the numbers."""
    database = fleet.database
    register(database, 2)
    params = [{"rate": 0.1}, {"rate": 1 / 3}, {"rate": 0.3}, {"rate": 0.4}]
    ids = insert(
        database, *(new_job(f"j{i}", group=f"g{i}", params=p) for i, p in enumerate(params))
    )
    claims = take(database, 3)
    values = [(0.7, 0.2), (0.1 + 0.2, math.nan)]
    for claim, pair in zip(claims, values, strict=False):
        logs = [{"loss": value, "val_loss": 2 * value} for value in pair]
        with database.begin() as c:
            metrics.record(c, [EpochMetrics(claim, n + 1, log) for n, log in enumerate(logs)])
            scores = {"own": {"test_score": pair[0], "test_nan": math.nan}}
            commit(c, claim, epoch=2, seconds=1.5, scores=scores)
    with database.begin() as c:
        ends.fail(c, claims[2], FailureClass.USER, "it was \x1b[31mwrong", "Traceback ...")
    return ids


@pytest.fixture
def remote(client: MakeClient, filled: list[int]) -> Iterator[ff.Fleet]:
    yield client("ana", Scope.ADMIN)


def test_rows_and_what_was_recorded_are_equal(fleet: ff.Fleet, remote: ff.Fleet) -> None:
    for mine, theirs in zip(remote.jobs(), fleet.jobs(), strict=True):
        assert mine.row == theirs.row and mine.status is theirs.status
        pd.testing.assert_frame_equal(mine.history, theirs.history, check_exact=True)
        pd.testing.assert_frame_equal(mine.lineage, theirs.lineage, check_exact=True)
        assert repr(mine.scores) == repr(theirs.scores)
        assert (mine.attempts, mine.events) == (theirs.attempts, theirs.events)
        assert (mine.spec, mine.code, mine.labels) == (theirs.spec, theirs.code, theirs.labels)
        assert (mine.error, mine.logs()) == (theirs.error, theirs.logs())
        assert str(mine.why()) == str(theirs.why())
        assert repr(mine) == repr(theirs)
        assert mine != theirs  # of another connection
    assert [job.id for job in remote.jobs("digits", "succeeded", limit=1)] == [2]
    assert remote.unfinished() == fleet.unfinished() == [4]
    assert remote.job(2) == remote.jobs()[1]


def test_comparisons_by_the_api_equal_those_of_the_database(
    fleet: ff.Fleet, remote: ff.Fleet
) -> None:
    for how in ({}, {"metric": "test_score", "direction": "maximize"}, {"at": "best", "top": 1}):
        mine, theirs = remote.compare("digits", **how), fleet.compare("digits", **how)
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
        assert mine.attrs == theirs.attrs
    everything = remote.compare("digits", status=None)
    pd.testing.assert_frame_equal(everything, fleet.compare("digits", status=None))
    assert remote.best("digits").id == fleet.best("digits").id
    pd.testing.assert_frame_equal(
        remote.rank("digits", "loss", by="rate"), fleet.rank("digits", "loss", by="rate")
    )


def test_jobs_are_changed_as_by_the_database(fleet: ff.Fleet, remote: ff.Fleet) -> None:
    waiting = remote.job(4)
    assert waiting.set_priority(5).row.priority == fleet.job(4).row.priority == 5
    assert waiting.tag("a", "b") == ("a", "b")
    assert waiting.untag("b") == ("a",)
    waiting.write_note("seen")
    assert fleet.job(4).labels == waiting.labels
    assert waiting.cancel() is ff.JobStatus.CANCELLED
    assert waiting.retry().status is ff.JobStatus.QUEUED
    remote.limit("digits", 3)
    remote.pause("digits")
    assert "is paused" in str(waiting.why())
    remote.resume("digits")
    assert remote.job(1).extend(epochs=9).epochs == 9
    with pytest.raises(StateError, match="only a failed, cancelled or pruned job"):
        remote.job(2).retry()
    with pytest.raises(NotFoundError, match="there is no job 99"):
        remote.job(99)
    dry = remote.remove([3], is_dry=True)
    assert dry == fleet.remove([3], is_dry=True)
    remote.remove([3])
    with pytest.raises(NotFoundError):
        fleet.job(3)


def test_waiting_ends_with_the_jobs_or_the_time(fleet: ff.Fleet, remote: ff.Fleet) -> None:
    ended = remote.wait([1, 2, 3])
    assert [job.status.value for job in ended] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    with pytest.raises(WaitTimeoutError, match="1 of 1 jobs have not ended after 0"):
        remote.wait([4], timeout_s=0.3)
    fleet.job(4).cancel()
    assert remote.job(4).wait().status is ff.JobStatus.CANCELLED


def test_logs_are_followed(fleet: ff.Fleet, remote: ff.Fleet) -> None:
    path = Path(fleet.settings.logs) / "1" / "attempt-1.log"
    path.parent.mkdir(parents=True)
    path.write_text("epoch 1\n" + "é" * 700_000)
    pieces = list(remote.job(1).logs(follow=True))
    assert "".join(pieces).startswith("epoch 1\n") and len(pieces) >= 2
    assert len(remote.job(1).logs().encode()) >= 2**20


def test_every_method_works_or_names_the_alternative(remote: ff.Fleet) -> None:
    public = {name for name in dir(ff.Fleet) if not name.startswith("_")}
    kinds = [kind for kind in type(remote).__mro__ if ".remote." in kind.__module__]
    ours = {name for kind in kinds for name in vars(kind) if not name.startswith("_")}
    inherited = {"submit", "wait", "job"}
    assert public == ours | inherited | set(_REFUSED)
    for name in sorted(_REFUSED):
        with pytest.raises(AccessError, match="needs the database, and http") as refused:
            getattr(remote, name)()
        assert "--database-url" in str(refused.value)
    handles = {n for n, _ in inspect.getmembers(ff.Job) if not n.startswith("_")}
    reading = {n for n in handles if "_database" in inspect.getsource(_function(n))}
    assert reading <= set(vars(type(remote.job(1))))


def _function(name: str) -> Any:
    value = inspect.getattr_static(ff.Job, name)
    return value.fget if isinstance(value, property) else value


def test_the_commands_go_by_the_api_too(
    server: ApiServer, remote: ff.Fleet, tmp_path: Path
) -> None:
    environment = {"FITFLEET_URL": server.url, "FITFLEET_TOKEN": remote.settings.token}

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, list(words), env=environment)

    assert "SUCCEEDED" in run("ps").output
    assert "0.333" in run("compare", "digits").output
    assert "cancelled" in run("cancel", "4").output
    assert "job 4" in run("why", "4").output
    assert run("show", "1", "--json").exit_code == 0
    assert f"{server.url} answers" in run("doctor").output
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    assert "queued" in run("submit", str(tmp_path / "job.json")).output
    assert "already submitted (QUEUED)" in run("submit", str(tmp_path / "job.json")).output
    refused = run("workers")
    assert (refused.exit_code, "needs the database" in refused.output) == (2, True)


@pytest.mark.parametrize("value", [0.1 + 0.2, 5e-324, -0.0, math.inf, -math.inf, 1e308])
def test_floats_come_back_bit_for_bit(value: float) -> None:
    (there,) = json_text.from_json(json_text.to_json([value]))
    assert there.hex() == value.hex()
    assert math.isnan(json_text.from_json(json_text.to_json(math.nan)))
