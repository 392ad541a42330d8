"""A drill: small jobs are fitted twice, undisturbed and under faults, and the results compared.

The fleet is an embedded one with a queue and an experiment of its own: no other job is touched.
"""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitfleet.client.job import Job
from fitfleet.db.accounts import keys
from fitfleet.db.reading import attempts, lookup
from fitfleet.embedded.fleet import LocalFleet
from fitfleet.embedded.launch import chosen_settings, started
from fitfleet.errors import DatabaseError, FitfleetError
from fitfleet.queue import celery_app, publish
from fitfleet.states import JobStatus
from fitfleet.worker.process import fork_server

# Short times, so that a drill ends within minutes; the job's numbers do not depend on them.
_SETTINGS: dict[str, Any] = {
    "lease_s": 4.0,
    "heartbeat_s": 0.5,
    "recover_s": 0.5,
    "redispatch_s": 1.0,
    "checkpoint_s": 0.0,
    "backoff_s": 0.1,
}
_EPOCHS = 40
_POLL_S = 0.1
_TRIALS = 20  # of a fault that finds nothing to strike, such as a fit or a message
_PAUSE_S = (1.0, 3.0)  # between two faults, at random
# A drill shows that nothing is lost, not that a poison job ends.
_MAX_FAILURES = 1000

Fault = Callable[[LocalFleet, Sequence[int], random.Random], bool]
# The keywords of a job, from the file of series, the experiment and the job's number.
Document = Callable[[Path, str, int], dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """What came of a drill. All is well when nothing was lost, done twice or different."""

    jobs: int
    done: int
    lost: int  # not succeeded in time
    twice: int  # more than one committed attempt, or more than one file of weights
    different: int  # history, scores or weights differ from the undisturbed run
    faults: dict[str, int]  # carried out, by name
    attempts: int
    resumed: int  # attempts that resumed in the middle of a fit
    calm_s: float  # the undisturbed run of all jobs
    seconds: float  # the run under fire

    @property
    def is_good(self) -> bool:
        """Whether every job was done once, with the very numbers of the undisturbed run."""
        return self.done == self.jobs and not (self.lost or self.twice or self.different)

    @property
    def seconds_lost(self) -> float:
        """Time that the faults have cost."""
        return self.seconds - self.calm_s


def kill_child(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """SIGKILL to a process that fits."""
    children = fitting(fleet, ids)
    return bool(children) and _signalled(rng.choice(children), signal.SIGKILL)


def fitting(fleet: LocalFleet, ids: Sequence[int]) -> list[int]:
    """Process ids of the children that fit one of the jobs.

    Not of those that are only starting: killed again and again, they would never get to a fit.
    """
    import psutil

    with fleet.database.read() as c:
        running = attempts.open_attempts(c, ids)
    pids = set()
    for service, started_at in ((int(worker.split(":")[1]), at) for worker, at in running):
        with suppress(psutil.Error):
            children = psutil.Process(service).children() if service in fleet.worker_pids else []
            older = [child for child in children if child.create_time() < started_at]
            pids |= {child.pid for child in older if child.name() != fork_server.NAME}
    return sorted(pids)


def duplicate(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """The latest message of a job comes again, twice."""
    job_id = rng.choice(ids)
    with fleet.database.read() as c:
        number = lookup.dispatch_seq(c, job_id)
        key = keys.message_key(c, fleet.settings)
    publish(celery_app(fleet.settings), fleet.settings.queue, [(job_id, number)] * 2, key)
    return True


def drop(fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    """The oldest message of the queue is lost. False: there was none."""
    with celery_app(fleet.settings).connection_for_write() as connection:
        return connection.default_channel.client.rpop(fleet.settings.queue) is not None


FAULTS: dict[str, Fault] = {"kill": kill_child, "duplicate": duplicate, "drop": drop}


def drill(
    directory: Path,
    *,
    jobs: int = 12,
    workers: int = 2,
    seed: int = 0,
    timeout_s: float = 600.0,
    settle_s: float = 0.0,
    pause_s: tuple[float, float] = _PAUSE_S,
    faults: dict[str, Fault] | None = None,
    settings: Mapping[str, Any] | None = None,
    document: Document | None = None,
) -> Verdict:
    """Run the jobs undisturbed, then again under fire, in an embedded fleet of `directory`.

    `document` makes the jobs, small ones of one kind if not given. `seed` decides which faults
    come and when, `pause_s` how long it is quiet between two of them, at least and at most. A job
    that has not ended after `timeout_s` seconds of fire counts as lost, and is cancelled. The
    verdict is taken `settle_s` after the last end, when what was frozen may have woken. Errors are
    those of `ff.local`.
    """
    name = f"drill-{uuid.uuid4().hex[:8]}"
    series = _write_series(directory.absolute() / "drill.h5")
    make = document or _document
    documents = [{"max_failures": _MAX_FAILURES, **make(series, name, n)} for n in range(jobs)]
    values = {"queue": name, **_SETTINGS, **(settings or {})}
    chosen = chosen_settings(workers, Path(directory), (), values)
    with started(chosen, workers, Path(directory)) as fleet:
        _warm_up(fleet, series, name, workers)
        began = time.monotonic()
        calm = fleet.submit_many(documents)
        fleet.wait(calm, timeout_s=timeout_s, raise_on_failure=True)
        calm_s = time.monotonic() - began
        began = time.monotonic()
        struck = fleet.submit_many(documents, again=True)
        rng = random.Random(seed)
        done = _fire(fleet, struck, rng, faults or FAULTS, pause_s, timeout_s)
        seconds = time.monotonic() - began
        time.sleep(settle_s)
        return _verdict(fleet, calm, struck, done, calm_s, seconds)


def _warm_up(fleet: LocalFleet, series: Path, name: str, workers: int) -> None:
    """Wait until the workers are up, so that their start is not counted."""
    fleet.submit_many(
        {**_document(series, name, -1 - number), "epochs": 1} for number in range(2 * workers)
    )
    fleet.wait(fleet.jobs(name), timeout_s=120, raise_on_failure=True)


def _fire(
    fleet: LocalFleet,
    jobs: Sequence[Job],
    rng: random.Random,
    faults: dict[str, Fault],
    pause_s: tuple[float, float],
    timeout_s: float,
) -> Counter[str]:
    """Carry out faults at random until all jobs have ended; how many of each."""
    ids = [job.id for job in jobs]
    carried_out: Counter[str] = Counter()
    deadline = time.monotonic() + timeout_s
    next_at = time.monotonic() + rng.uniform(0.2, 1.0)
    trials = 0
    fault = rng.choice(sorted(faults))
    while not _have_ended(jobs):
        if time.monotonic() >= deadline:
            for job in jobs:
                job.cancel()
            break
        if time.monotonic() >= next_at:
            trials += 1
            has_struck = _strike(faults[fault], fleet, ids, rng)
            carried_out[fault] += has_struck
            if has_struck or trials == _TRIALS:
                trials, fault = 0, rng.choice(sorted(faults))
                next_at = time.monotonic() + rng.uniform(*pause_s)
        time.sleep(_POLL_S)
    return carried_out


def _strike(fault: Fault, fleet: LocalFleet, ids: Sequence[int], rng: random.Random) -> bool:
    try:
        return fault(fleet, ids, rng)
    except FitfleetError:
        return False  # what it needs is away: an earlier fault


def _have_ended(jobs: Sequence[Job]) -> bool:
    try:
        return all(job.status.is_terminal for job in jobs)
    except DatabaseError:
        return False


def _verdict(
    fleet: LocalFleet,
    calm: Sequence[Job],
    struck: Sequence[Job],
    faults: Counter[str],
    calm_s: float,
    seconds: float,
) -> Verdict:
    done = [job.refresh().status is JobStatus.SUCCEEDED for job in struck]
    pairs = list(zip(struck, calm, strict=True))
    return Verdict(
        jobs=len(struck),
        done=sum(done),
        lost=len(struck) - sum(done),
        twice=sum(_is_twice(job) for job, is_done in zip(struck, done, strict=True) if is_done),
        different=sum(
            not _is_same(*pair) for pair, is_done in zip(pairs, done, strict=True) if is_done
        ),
        faults=dict(faults),
        attempts=sum(job.attempt for job in struck),
        resumed=sum(bool(a["first_epoch"]) for job in struck for a in job.attempts),
        calm_s=calm_s,
        seconds=seconds,
    )


def _is_twice(job: Job) -> bool:
    committed = [a for a in job.attempts if a["outcome"] == "succeeded"]
    lying = [
        path
        for path in job.weights_path.parent.glob("attempt-*.weights.h5")
        if ".checkpoint" not in path.name
    ]
    return len(committed) != 1 or lying != [job.weights_path]


def _is_same(job: Job, calm: Job) -> bool:
    import numpy as np

    if not job.history.equals(calm.history) or job.scores != calm.scores:
        return False
    weights, calm_weights = job.weights(), calm.weights()
    return weights.keys() == calm_weights.keys() and all(
        np.array_equal(weights[name], array) for name, array in calm_weights.items()
    )


def _signalled(pid: int, number: signal.Signals) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _document(series: Path, experiment: str, seed: int) -> dict[str, Any]:
    """A small LSTM with dropout and a callback that has a state: a resume can forget much."""
    from fitfleet.spec.parts import layers

    return {
        "model": layers.Sequential(
            [layers.Input((8, 3)), layers.LSTM(6, dropout=0.2), layers.Dense(1)]
        ),
        "dataset": str(series),
        "optimizer": "adam",
        "loss": "mse",
        "callbacks": [{"ReduceLROnPlateau": {"patience": 2}}],
        "batch_size": 4,
        "epochs": _EPOCHS,
        "seed": 1000 + seed,
        "experiment": experiment,
    }


def _write_series(path: Path) -> Path:
    """Random series and their means."""
    import h5py
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, rows in (("train", 240), ("val", 80), ("test", 80)):
            x = rng.normal(size=(rows, 8, 3)).astype("float32")
            file[f"x_{part}"] = x
            file[f"y_{part}"] = x.mean(axis=(1, 2))[:, None]
    return path
