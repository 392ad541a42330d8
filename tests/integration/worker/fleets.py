"""A worker's child in the test's own process: jobs are submitted, claimed and run by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fitfleet.db.attempts import leases
from fitfleet.db.jobs import jobs
from fitfleet.db.reading import lookup
from fitfleet.db.reading.attempts import attempts_of
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.scheduling import dispatch
from fitfleet.db.session import Database
from fitfleet.settings import Settings
from fitfleet.storage import DOCUMENT, Storage
from fitfleet.submit import Submission
from fitfleet.worker.control import StopReason
from fitfleet.worker.engines.choice import Choice, Engines
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.metrics import Recorder
from fitfleet.worker.run import Child


class Only:
    """Chooses one engine for every job."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def choose(self, jobs: list[PreparedJob]) -> Any:
        """Everything goes to the one engine."""
        if jobs:
            yield Choice(self._engine, jobs, [""] * len(jobs))


class Fleet:
    """Submits to a database and runs what is waiting there, one child."""

    def __init__(self, url: str, folder: Path, *, engine: str = "", **settings: Any) -> None:
        # A drain waits for the end of the epoch, however long it takes to trace on a busy machine.
        values = {"checkpoint_s": 0.0, "heartbeat_s": 0.1, "backoff_s": 0.0, "drain_s": 900.0}
        values |= {name: str(folder / name) for name in ("storage", "logs", "cache")}
        values |= {"programs": os.environ["FITFLEET_PROGRAMS"]} | settings
        self.settings = Settings(database_url=url, **values)
        self.database = Database(url)
        self.recorder = Recorder(self.database, self.settings.logs)
        engines: Any = Only(KerasFit(self.settings)) if engine == "fit" else Engines(self.settings)
        self.child = Child(
            settings=self.settings,
            database=self.database,
            worker="here:1:0",
            device="cpu",
            storage=Storage.of(self.settings),
            recorder=self.recorder,
            engines=engines,
        )

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.recorder.close()
        self.database.dispose()

    def submit(self, **job: Any) -> int:
        """The id of a new job."""
        row = Submission(self.settings).row(job)
        with self.database.begin() as c:
            ((job_id, _),) = jobs.insert(c, [row])
        return job_id

    def run(self, **job: Any) -> JobRow:
        """Submit a job and run it once; its row afterwards."""
        job_id = self.submit(**job)
        self.attempt()
        return self.row(job_id)

    def attempt(self) -> None:
        """Run the first waiting job, with its cohort peers, to the end of this attempt."""
        with self.database.begin() as c:
            ((job_id, seq),) = dispatch.dispatch(c, self.settings.queue, 1)
        self.child.run(job_id, seq)

    def row(self, job_id: int) -> JobRow:
        """The job as the database has it."""
        with self.database.read() as c:
            row = lookup.job(c, job_id)
        assert row is not None
        return row

    def claim(self) -> leases.Claim:
        """Hold the first waiting job, as a worker that then does nothing."""
        with self.database.begin() as c:
            ((job_id, seq),) = dispatch.dispatch(c, self.settings.queue, 1)
            claim = leases.claim(c, job_id, seq, self.child.worker, 60.0)
        assert claim is not None
        return claim

    def attempts(self, job_id: int) -> list[dict[str, Any]]:
        """Every attempt of a job, first first."""
        with self.database.read() as c:
            return attempts_of(c, job_id)

    def events(self, job_id: int) -> list[dict[str, Any]]:
        """What happened to a job."""
        with self.database.read() as c:
            return lookup.events_of(c, job_id)

    def memory(self) -> list[dict[str, Any]]:
        """What fits were measured to need, the smallest batch first."""
        with self.database.read() as c:
            rows = c.exec_driver_sql("SELECT * FROM memory ORDER BY batch_size")
            return [dict(row._mapping) for row in rows]

    def scores(self, job_id: int) -> dict[str, float | None]:
        """Scores of the evaluation."""
        with self.database.read() as c:
            return lookup.scores_of(c, [job_id]).get(job_id, {})

    def curve(self, job_id: int) -> list[Any]:
        """Every metric of every epoch."""
        with self.database.read() as c:
            return sorted(
                ((p.epoch, p.phase, p.metric, p.value) for p in lookup.curve(c, job_id)),
                key=repr,
            )

    def files(self, row: JobRow) -> list[str]:
        """Names in the job's folder of the storage."""
        folder = Path(self.settings.storage) / row.experiment / str(row.id)
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def log(self, job_id: int, attempt: int = 1) -> str:
        """What the attempt printed."""
        return (Path(self.settings.logs) / str(job_id) / f"attempt-{attempt}.log").read_text()

    def artifact(self, row: JobRow) -> Path:
        """The file of the fitted weights."""
        assert row.artifact_path is not None
        return Path(self.settings.storage) / row.artifact_path

    def checkpoint(self, row: JobRow) -> Path:
        """The file of the newest checkpoint."""
        assert row.checkpoint_path is not None
        return Path(self.settings.storage) / row.checkpoint_path


class ActAtEpochs:
    """Engines around others: `act(job)` is called whenever a job begins an epoch of its fit."""

    def __init__(self, engines: Any, act: Callable[[PreparedJob, int], None]) -> None:
        self._engines, self._act = engines, act

    def choose(self, jobs: list[PreparedJob]) -> Any:
        """As the engines inside do."""
        for choice in self._engines.choose(jobs):
            engine: Any = _Acting(choice.engine, self._act)
            yield Choice(engine, choice.jobs, choice.reasons)


class _Acting:
    def __init__(self, engine: Engine, act: Callable[[PreparedJob, int], None]) -> None:
        self.name, self.trains_together = engine.name, engine.trains_together
        self.fallback = engine.fallback
        self._engine, self._act = engine, act

    def open(self, jobs: list[PreparedJob]) -> Any:
        """A session whose epochs begin in our hands."""
        session: Any = self._engine.open(jobs)
        begin = session.begin_epoch

        def begin_epoch(epochs: list[int]) -> None:
            begin(epochs)
            for job, epoch in zip(jobs, epochs, strict=True):
                self._act(job, epoch)

        session.begin_epoch = begin_epoch
        return session


class DrainAfter(ActAtEpochs):
    """Engines around others whose child is drained in given epochs."""

    def __init__(self, engines: Any, child: Child, epochs: list[int]) -> None:
        def drain(_: PreparedJob, epoch: int) -> None:
            if epoch in epochs:
                epochs.remove(epoch)
                child.drain()

        super().__init__(engines, drain)


class KilledInside(ActAtEpochs):
    """Engines around others whose jobs are taken from them once in each of given epochs."""

    def __init__(self, engines: Any, epochs: list[int]) -> None:
        self.done: list[tuple[int, int]] = []  # (job, epoch), both from the start

        def stop(job: PreparedJob, epoch: int) -> None:
            place = (job.claim.job_id, epoch)
            if epoch in epochs and place not in self.done:
                self.done.append(place)
                job.control.end_soon(StopReason.RELEASE, 0.0)

        super().__init__(engines, stop)


def contents(path: Path) -> dict[str, Any]:
    """All arrays of a weights file: weights, optimizer, RNN states, best weights, and history."""
    items: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.endswith("document.json"):
            items[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
        document = json.loads(bytes(file[DOCUMENT][()]))
    items["history"] = document["history"]
    items["callbacks"] = document["callbacks"]
    return items


def assert_same_file(left: Path, right: Path) -> None:
    """Bit for bit."""
    expected, written = contents(left), contents(right)
    assert expected.keys() == written.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(array, written[name], err_msg=name)
