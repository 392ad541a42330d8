"""Whatever goes wrong between a claim and the end of its job is that job's end, at once."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from fleets import Fleet
from support.parts import quick

import fitfleet as ff
import fitfleet.worker
from fitfleet.db.schema.tables import jobs, shared_documents
from fitfleet.spec.versions import installed, number_of
from fitfleet.states import FailureClass, JobStatus
from fitfleet.worker import failpoints

WORKER = Path(fitfleet.worker.__file__).parent
# Every step of a child that a fault can be set for, and what a defect of ours there makes of a job
# and its cohort peer: None for a step whose failure costs neither. A peer is only taken after the
# first of them, and a job that nobody has claimed waits for its next message.
STEPS: dict[str, JobStatus | None] = {
    "before_claim": JobStatus.DISPATCHED,
    "after_claim": JobStatus.QUEUED,
    "in_cohort": None,
    "in_load": JobStatus.QUEUED,
    "in_restore": JobStatus.QUEUED,
    "in_choice": JobStatus.QUEUED,
    "in_description": JobStatus.QUEUED,
    "epoch_end": JobStatus.QUEUED,
    "in_checkpoint": JobStatus.QUEUED,
    "in_publish": JobStatus.QUEUED,
    "after_checkpoint": JobStatus.QUEUED,
    "between_save_and_commit": JobStatus.QUEUED,
    "after_commit": JobStatus.SUCCEEDED,
}
# Steps before the attempt of a peer begins: it goes back to the queue, and nothing is counted.
BEFORE_PEERS = ("in_choice",)


def test_every_step_of_a_child_is_tried() -> None:
    named = {
        name
        for path in WORKER.rglob("*.py")
        for name in re.findall(r'reach\("(\w+)"\)', path.read_text())
    }
    assert named == set(STEPS)


@pytest.mark.parametrize(
    "step", quick(STEPS, "before_claim", "in_load", "epoch_end", "between_save_and_commit")
)
def test_a_defect_at_any_step_ends_its_jobs_at_once_and_with_its_message(
    step: str, fleet: Fleet, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(*faults: str) -> None:
        monkeypatch.setattr(failpoints, "_FAULTS", list(faults))
        fleet.attempt()

    job = {**job, "epochs": 2, "checkpoint_epochs": 1}
    ids = [fleet.submit(**{**job, "seed": seed}) for seed in (1, 2)]
    if step == "in_restore":  # of a job that has a checkpoint, and no peers since it has failed
        attempt("after_checkpoint:defect")
    if step in ("before_claim", "after_claim", "in_restore", "in_cohort"):
        ids = ids[:1]
    is_claimed = step != "before_claim"
    with nullcontext() if is_claimed else pytest.raises(RuntimeError, match="a defect of fitfleet"):
        attempt(f"{step}:defect")
    expected = STEPS[step] or JobStatus.SUCCEEDED
    if step in BEFORE_PEERS:
        peer = fleet.row(ids.pop())
        assert (peer.status, peer.attempt, peer.failures) == (JobStatus.QUEUED, 0, 0)
    for row in map(fleet.row, ids):
        assert row.status is expected
        assert bool(row.attempt) == is_claimed
        if expected is JobStatus.QUEUED:
            assert row.failure_class == FailureClass.INTERNAL
            assert row.failure_message == "RuntimeError: a defect of fitfleet"
            assert fleet.attempts(row.id)[-1]["outcome"] == "internal"


def test_a_row_of_a_newer_version_is_left_to_its_workers(fleet: Fleet, job: dict[str, Any]) -> None:
    job_id = fleet.submit(**job)
    with fleet.database.begin() as c:
        document = shared_documents.c.document
        added = sa.func.replace(document, '"epochs":', '"warp_speed":9,"epochs":')
        c.execute(sa.update(shared_documents).values(document=added))
    fleet.attempt()
    row = fleet.row(job_id)
    assert (row.status, row.failures, row.failure_class) == (JobStatus.QUEUED, 0, None)
    assert "does not know warp_speed" in fleet.events(job_id)[-1]["detail"]
    with fleet.database.read() as c:
        needed = c.execute(sa.select(jobs.c.min_version)).scalar_one()
    assert needed == number_of(installed()) + 1


def test_class_weights_of_steps_are_the_users_failure_at_once(
    fleet: Fleet, job: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    """In a cohort large enough to be measured, where the data are first asked for."""
    random = np.random.default_rng(0)
    path = tmp_path / "classes.npz"
    x = random.normal(size=(24, 5, 3)).astype("float32")
    np.savez(path, x=x, y=x)
    model = ff.Sequential([ff.layers.Input((5, 3)), ff.layers.Dense(3)])
    job |= {"model": model, "loss": "mse", "dataset": str(path)}
    ids = [fleet.submit(**{**job, "seed": n}) for n in range(8)]
    with fleet.database.begin() as c:  # submit would refuse it
        old, new = '"class_weight":null', '"class_weight":{"1":5.0}'
        more = sa.func.replace(shared_documents.c.document, old, new)
        c.execute(sa.update(shared_documents).values(document=more))
    fleet.attempt()
    for row in map(fleet.row, ids):
        assert (row.status, row.failure_class) == (JobStatus.FAILED, FailureClass.USER)
        assert "class_weight: goes with one class a row" in (row.failure_message or "")
        assert row.attempt == 1
