"""One job after the other through a child: what is recorded for each way to end."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fleets import ActAtEpochs, Fleet, Only, assert_same_file

import fitfleet as ff
from fitfleet.db.jobs import jobs
from fitfleet.db.scheduling import recovery
from fitfleet.db.schema.tables import jobs as job_rows
from fitfleet.db.schema.tables import workers as worker_rows
from fitfleet.states import FailureClass, JobStatus, Request
from fitfleet.weights.files import read_document, read_weights
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.state import checkpoint, weights
from fitfleet.worker.state.export import export

HERE = str(Path(__file__).parent)
TRUSTING = {"trusted_modules": ("scoring", "failing_layers"), "module_path": (HERE,)}


class AtEpoch(ActAtEpochs):
    """Keras's fit, with something done in the middle: `act(job)` at an epoch's beginning."""

    def __init__(self, fleet: Fleet, epoch: int, act: Callable[[PreparedJob], None]) -> None:
        def at(job: PreparedJob, number: int) -> None:
            if number == epoch:
                act(job)

        super().__init__(Only(KerasFit(fleet.settings)), at)
        fleet.child.engines = self  # type: ignore[assignment]


def test_a_job_that_succeeds_leaves_one_file_and_a_full_record(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    row = fleet.run(**job, metrics=["mae"])
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert fleet.files(row) == ["attempt-1.weights.h5"]
    path = fleet.artifact(row)
    assert row.artifact_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row.epoch, row.parameters) == (3, 69)
    assert set(fleet.scores(row.id)) == {"test_loss", "test_mae"}
    assert len(fleet.curve(row.id)) == 3 * 4
    (attempt,) = fleet.attempts(row.id)
    assert attempt["outcome"] == "succeeded"
    assert attempt["seconds"] > 0
    assert attempt["memory_peak_bytes"] > 2**20
    (memory,) = fleet.memory()
    assert (memory["batch_size"], memory["cohort"], memory["device"]) == (8, 1, "cpu")
    assert memory["peak_bytes"] > 2**27  # TensorFlow is in it
    assert memory["bound_bytes"] is None
    environment = json.loads(attempt["environment"])
    assert environment["keras"] and environment["device"] == "cpu"
    assert read_document(path, fleet.settings)["scores"]["keras"] == fleet.scores(row.id)


def test_the_file_alone_gives_the_model_back(
    fleet: Fleet, job: dict[str, Any], tmp_path: Path
) -> None:
    import keras

    path = fleet.artifact(fleet.run(**job))
    moved = Path(shutil.copy(path, tmp_path / "alone.weights.h5"))
    model = weights.load_model(moved, fleet.settings)
    assert int(model.optimizer.iterations.numpy()) == 3 * 5
    x = np.ones((2, 5, 3), "float32")
    expected = model.predict(x, verbose=0)
    for name in ("whole.keras", "old.h5"):
        export(moved, tmp_path / name, fleet.settings)
        again = keras.saving.load_model(tmp_path / name)
        np.testing.assert_array_equal(again.predict(x, verbose=0), expected)
    export(moved, tmp_path / "model.json", fleet.settings)
    assert keras.models.model_from_json((tmp_path / "model.json").read_text()).count_params() == 69
    plain = read_weights(moved, fleet.settings)
    assert sum(array.size for array in plain.values()) == 69


def test_an_evaluator_sees_the_test_arrays(
    job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    with Fleet(sqlite_url, tmp_path, **TRUSTING) as fleet:
        first = fleet.run(**job, evaluators=["scoring:off"])
        second = fleet.run(
            **job, evaluators=[{"path": "scoring:off", "arguments": {"factor": 2.0}}]
        )
        assert fleet.scores(second.id)["off"] == 2 * (fleet.scores(first.id)["off"] or 0.0)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("scoring:broken", "scoring:broken raised ZeroDivisionError: the scale has no notes"),
        ("scoring:words", "scoring:words returned 'mood': 'happy', not a number"),
    ],
)
def test_a_bad_evaluator_is_the_users_failure(
    path: str, says: str, job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    with Fleet(sqlite_url, tmp_path, **TRUSTING) as fleet:
        row = fleet.run(**job, evaluators=[path])
    assert (row.status, row.failure_class) == (JobStatus.FAILED, FailureClass.USER)
    assert says in (row.failure_message or "")
    assert "Traceback" in (row.failure_traceback or "")


def test_an_error_of_the_users_layer_is_reported_once_and_whole(
    job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    with Fleet(sqlite_url, tmp_path, **TRUSTING) as fleet:
        row = fleet.run(**{**job, "model": ff.builder("failing_layers:model")})
    assert (row.status, row.failure_class) == (JobStatus.FAILED, FailureClass.USER)
    assert "the layer is in no mood. Try again tomorrow." in (row.failure_message or "")


def test_a_model_that_the_loop_cannot_trace_is_trained_by_keras_fit_and_the_row_says_so(
    job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    import failing_layers

    with Fleet(sqlite_url, tmp_path, **TRUSTING) as fleet:
        row = fleet.run(**{**job, "model": failing_layers.loopless()})
    assert (row.status, row.engine) == (JobStatus.SUCCEEDED, "fit"), row.failure_message
    assert "loop cannot trace it" in (row.engine_reason or "")
    assert "this is not the way of Keras" in (row.engine_reason or "")


def test_code_that_the_worker_does_not_trust_is_not_run(
    job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    with Fleet(sqlite_url, tmp_path, **TRUSTING) as fleet:
        job_id = fleet.submit(**job, evaluators=["scoring:off"])
        fleet.child.settings = fleet.settings.replace(trusted_modules=())
        fleet.attempt()
        message = fleet.row(job_id).failure_message or ""
    assert "scoring:off" in message and "trusted_modules" in message


def test_a_loss_that_becomes_nan_is_its_own_failure(fleet: Fleet, job: dict[str, Any]) -> None:
    wild = {"class_name": "SGD", "config": {"learning_rate": 1e11}}
    row = fleet.run(**{**job, "optimizer": wild, "callbacks": ["TerminateOnNaN"]})
    assert (row.status, row.failure_class) == (JobStatus.FAILED, FailureClass.NAN)
    assert "NaN in epoch" in (row.failure_message or "")


@pytest.mark.parametrize("engine", ["fit", ""])
def test_the_row_has_the_epoch_whose_weights_are_kept(
    engine: str, job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    stop = {"EarlyStopping": {"monitor": "val_loss", "patience": 2, "restore_best_weights": True}}
    # So large a rate that the loss falls first and rises later, before the fit is stopped.
    wild = {"class_name": "SGD", "config": {"learning_rate": 0.08, "momentum": 0.9}}
    with Fleet(sqlite_url, tmp_path, engine=engine) as fleet:
        row = fleet.run(**{**job, "epochs": 20, "optimizer": wild}, callbacks=[stop])
        value = {(e, m): v for e, phase, m, v in fleet.curve(row.id) if phase == "val"}
        best = min(range(1, row.epoch + 1), key=lambda epoch: value[epoch, "loss"])
        assert row.kept_epoch == best < row.epoch, value
        model = weights.load_model(fleet.artifact(row), fleet.settings)
        with h5py.File(job["dataset"]) as file:
            x, y = file["x_val"][()], file["y_val"][()]
        assert model.evaluate(x, y, batch_size=8, verbose=0) == value[best, "loss"]
        plain = fleet.run(**job)
        assert (plain.kept_epoch, plain.epoch) == (3, 3)
        averaged = fleet.run(**{**job, "optimizer": {"Adam": {"use_ema": True}}})
        told = [e["detail"] for e in fleet.events(averaged.id) if e["kind"] == "weights"]
        assert told == ["averages of the steps (use_ema); metrics are of each epoch's own"]
        model = weights.load_model(fleet.artifact(averaged), fleet.settings)
        shown = dict(((e, p), v) for e, p, m, v in fleet.curve(averaged.id) if m == "loss")
        assert model.evaluate(x, y, batch_size=8, verbose=0) != shown[3, "val"]


@pytest.mark.parametrize("rate", [1e11, 0.01])
def test_the_row_has_the_first_epoch_whose_loss_was_no_number(
    rate: float, fleet: Fleet, job: dict[str, Any]
) -> None:
    row = fleet.run(**{**job, "optimizer": {"SGD": {"learning_rate": rate}}, "epochs": 4})
    values = [v for _, _, metric, v in fleet.curve(row.id) if metric == "loss"]
    assert row.status is JobStatus.SUCCEEDED and len(values) == 8
    assert (row.nan_epoch is not None) == any(v is None or math.isinf(v) for v in values)
    assert (row.nan_epoch is not None) == (rate > 1)


def test_data_that_has_changed_since_the_submit_is_refused(
    fleet: Fleet, job: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    copy = shutil.copy(data, tmp_path / "copy.h5")
    job_id = fleet.submit(**{**job, "dataset": str(copy)})
    with h5py.File(copy, "r+") as file:
        file["x_train"][0] = 0.0
    fleet.attempt()
    row = fleet.row(job_id)
    assert (row.status, row.failure_class) == (JobStatus.FAILED, FailureClass.USER)
    assert "not what it was at submit" in (row.failure_message or "")


@pytest.mark.parametrize(
    ("requested", "status"),
    [(Request.CANCEL, JobStatus.CANCELLED), (Request.PRUNE, JobStatus.PRUNED)],
)
def test_a_running_job_ends_by_request_and_keeps_its_last_epoch(
    requested: Request, status: JobStatus, fleet: Fleet, job: dict[str, Any]
) -> None:
    def ask(prepared: PreparedJob) -> None:
        with fleet.database.begin() as c:
            assert jobs.request(c, prepared.claim.job_id, requested)

    AtEpoch(fleet, 5, ask)
    job_id = fleet.submit(**{**job, "epochs": 100_000})
    fleet.attempt()
    row = fleet.row(job_id)
    assert row.status is status
    assert 5 < row.epoch < 100_000
    snapshot = checkpoint.read(fleet.checkpoint(row), fleet.settings)
    assert snapshot.epoch == row.checkpoint_epoch == row.epoch == len(snapshot.history)
    assert fleet.files(row) == [fleet.checkpoint(row).name]


def test_a_fit_that_lost_its_lease_writes_nothing_more(fleet: Fleet, job: dict[str, Any]) -> None:
    seen: dict[str, Any] = {}

    def lose(prepared: PreparedJob) -> None:
        with fleet.database.begin() as c:
            which = job_rows.c.id == prepared.claim.job_id
            c.execute(job_rows.update().where(which).values(lease_until=1.0))
            assert recovery.requeue_expired(c, 0.0) == [prepared.claim.job_id]
        fleet.recorder.flush(10)
        row = fleet.row(prepared.claim.job_id)
        seen.update(row=row, files=fleet.files(row), curve=fleet.curve(row.id))

    AtEpoch(fleet, 2, lose)
    job_id = fleet.submit(**{**job, "epochs": 100_000})
    fleet.attempt()
    fleet.recorder.flush(10)
    row = fleet.row(job_id)
    assert row == seen["row"]
    assert (fleet.files(row), fleet.curve(job_id)) == (seen["files"], seen["curve"])
    assert row.status is JobStatus.QUEUED


def test_a_fit_that_takes_too_long_is_ended(fleet: Fleet, job: dict[str, Any]) -> None:
    row = fleet.run(**{**job, "epochs": 1_000_000}, timeout_s=2.0)
    assert (row.status, row.failure_class) == (JobStatus.FAILED, FailureClass.TIMEOUT)
    assert "timeout_s=2" in (row.failure_message or "")


def test_storage_that_refuses_is_tried_again(
    job: dict[str, Any], sqlite_url: str, tmp_path: Path
) -> None:
    (tmp_path / "storage").write_text("not a folder")
    with Fleet(sqlite_url, tmp_path) as fleet:
        row = fleet.run(**job)
        assert (row.status, row.failure_class) == (JobStatus.QUEUED, FailureClass.STORAGE)
        (tmp_path / "storage").unlink()
        fleet.attempt()
        assert fleet.row(row.id).status is JobStatus.SUCCEEDED


def test_the_oom_fallback_runs_alone_and_then_in_smaller_batches(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    def fail(prepared: PreparedJob) -> None:
        if prepared.claim.memory_step < 2:
            raise MemoryError("the device has no 7 GiB")

    AtEpoch(fleet, 1, fail)
    job_id = fleet.submit(**job, shrink_on_oom=True)
    for _ in range(3):
        fleet.attempt()
    row = fleet.row(job_id)
    assert row.status is JobStatus.SUCCEEDED, row.failure_message
    assert fleet.child.is_spent
    attempts = fleet.attempts(job_id)
    assert [a["outcome"] for a in attempts] == ["memory", "memory", "succeeded"]
    assert "out of memory: the device has no 7 GiB" in attempts[0]["message"]
    assert attempts[1]["engine_reason"] == "alone, after it ran out of memory"
    assert "batches of 4 instead of 8 rows" in attempts[2]["engine_reason"]
    assert "gradient_accumulation_steps=2" in attempts[2]["engine_reason"]
    # The optimizer of accumulated gradients has other variables than the checkpoint's.
    assert [a["first_epoch"] for a in attempts] == [0, 1, 0]
    assert [e["kind"] for e in fleet.events(job_id)].count("memory") == 2
    smaller, whole = fleet.memory()
    assert (smaller["batch_size"], whole["batch_size"]) == (4, 8)
    assert smaller["peak_bytes"] and smaller["bound_bytes"] is None
    assert whole["peak_bytes"] is None and whole["bound_bytes"] > 2**27


def test_without_leave_the_batch_stays_as_it_is(fleet: Fleet, job: dict[str, Any]) -> None:
    def fail(prepared: PreparedJob) -> None:
        if prepared.claim.memory_step < 2:
            raise MemoryError

    AtEpoch(fleet, 0, fail)
    job_id = fleet.submit(**job)
    for _ in range(3):
        fleet.attempt()
    assert fleet.attempts(job_id)[2]["engine_reason"] == "alone, after it ran out of memory"


@pytest.mark.slow
def test_another_environment_is_reported(fleet: Fleet, job: dict[str, Any]) -> None:
    def drain(prepared: PreparedJob) -> None:
        fleet.child.drain()

    AtEpoch(fleet, 1, drain)
    job_id = fleet.submit(**job)
    fleet.attempt()
    fleet.child.is_draining = False
    fleet.child.__dict__["environment"] = {**fleet.child.environment, "tensorflow": "9.9"}
    AtEpoch(fleet, -1, drain)
    fleet.attempt()
    (event,) = [e for e in fleet.events(job_id) if e["kind"] == "environment"]
    assert "tensorflow" in event["detail"] and "-> 9.9" in event["detail"]
    assert fleet.row(job_id).status is JobStatus.SUCCEEDED


def test_a_job_that_fails_leaves_its_cohort_peers_untouched(
    fleet: Fleet, job: dict[str, Any]
) -> None:
    fleet.child.engines = Only(KerasFit(fleet.settings))  # type: ignore[assignment]
    ids = [fleet.submit(**{**job, "seed": seed}) for seed in range(3)]

    def fail(prepared: PreparedJob) -> None:
        if prepared.claim.job_id == ids[1]:
            raise ValueError("this one does not fit")

    AtEpoch(fleet, 1, fail)
    fleet.attempt()
    rows = [fleet.row(job_id) for job_id in ids]
    assert [row.status for row in rows] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert "this one does not fit" in (rows[1].failure_message or "")
    alone = fleet.run(**{**job, "seed": 2}, experiment="alone")
    assert_same_file(fleet.artifact(alone), fleet.artifact(rows[2]))


def test_a_drained_cohort_gives_back_those_that_wait(fleet: Fleet, job: dict[str, Any]) -> None:
    ids = [fleet.submit(**{**job, "seed": seed}) for seed in range(3)]
    AtEpoch(fleet, 1, lambda prepared: fleet.child.drain())
    fleet.attempt()
    rows = [fleet.row(job_id) for job_id in ids]
    assert {row.status for row in rows} == {JobStatus.QUEUED}
    assert [row.checkpoint_epoch for row in rows] == [2, None, None]
    # Those whose turn had not come have begun no attempt.
    outcomes = [[attempt["outcome"] for attempt in fleet.attempts(i)] for i in ids]
    assert outcomes == [["released"], [], []]


def test_a_duplicate_message_does_nothing(fleet: Fleet, job: dict[str, Any]) -> None:
    row = fleet.run(**job)
    fleet.child.run(row.id, 1)
    assert fleet.row(row.id) == row


def test_a_cohort_leaves_work_for_the_other_slots(fleet: Fleet, job: dict[str, Any]) -> None:
    from fitfleet.db.fleet import workers

    slots = [
        workers.Slot(f"w:{n}", "w@here", "here", 1, n, fleet.settings.queue, "cpu")
        for n in range(2)
    ]
    with fleet.database.begin() as c:
        workers.register(c, slots)
        assert c.execute(worker_rows.select()).rowcount != 0
    ids = [fleet.submit(**{**job, "seed": seed}) for seed in range(4)]
    fleet.attempt()
    done = [fleet.row(i).status for i in ids].count(JobStatus.SUCCEEDED)
    assert done == 2
