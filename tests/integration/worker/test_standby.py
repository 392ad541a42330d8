"""A fresh child whose slot is kept for a job on several GPUs, before it takes messages."""

from __future__ import annotations

from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from support.rows import insert, new_job

from fitfleet.db.fleet import capacity, gang_slot_state, workers
from fitfleet.db.fleet.dispatch_capacity import capacity_now
from fitfleet.db.fleet.workers import Slot
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.worker.process import replacement
from fitfleet.worker.process.standby import FirstJob, wait_while_reserved


@pytest.mark.parametrize("last", [0, 1])
def test_the_pool_learns_whether_the_child_waits_or_runs_its_job_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """Else Celery kills it when it is not up in time, which the job may well outlast."""
    told: SimpleQueue[tuple[int, tuple[int]]] = SimpleQueue()
    monkeypatch.setattr(replacement, "_here", SimpleNamespace(outq=told))
    labels = {"gpu": "H100", "gpu_memory": "80GB", "memory": "8GB", "gpus": "2"}
    slots = [Slot(f"h:1:{i}", "h", "h", 1, i, "cpu", f"gpu {i}", labels=labels) for i in range(2)]
    with database.begin() as c:
        workers.register(c, slots)
    (job_id,) = insert(database, new_job("two", gpus=2))
    with database.begin() as c:
        (load,) = capacity.loads(c, 60.0)
        dispatch.dispatch_to(c, "cpu", capacity_now(c, load, 1, 60.0))
    first, second = slots[last].id, slots[1 - last].id
    with database.begin() as c:
        gang_slot_state.mark_ready(c, second)
    settings = Settings(database_url=str(database.url.render_as_string(hide_password=False)))
    if last == 0:
        assert wait_while_reserved(settings, first) == FirstJob(job_id, ("gpu 0", "gpu 1"))
    else:
        monkeypatch.setattr("fitfleet.worker.process.standby.time.sleep", _end)
        with pytest.raises(_Waited):
            wait_while_reserved(settings, first)
    assert told.get_nowait()[0] == replacement._STANDBY
    assert told.empty()


class _Waited(Exception):
    """It polls again."""


def _end(seconds: float) -> None:
    raise _Waited
