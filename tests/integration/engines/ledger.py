"""A journal that keeps in memory what a fit gives, and the specs that engines are tried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.arrays import Arrays, split_validation, take
from fitfleet.data.rows.rows import rows_of
from fitfleet.db.attempts.leases import Claim
from fitfleet.settings import Settings
from fitfleet.spec import tunable_scalars
from fitfleet.spec.job import JobOptions, JobSpec, ModelSpec
from fitfleet.spec.submission import job_spec
from fitfleet.worker import evaluate, fit
from fitfleet.worker.control import Interrupted, JobControl, StopReason
from fitfleet.worker.engines.choice import Choice
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.traced.fresh_state import optimizer_variables
from fitfleet.worker.fit import Fit
from fitfleet.worker.models.build import build
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.state import checkpoint
from fitfleet.worker.state.rnn_states import rnn_states

SETTINGS = Settings()


class Ledger:
    """Every job's logs, and its variables at the end. Stops a job after an epoch if told."""

    def __init__(
        self, folder: Path | None = None, stop_after: dict[int, int] | None = None
    ) -> None:
        self.logs: dict[int, list[tuple[int, dict[str, float]]]] = {}
        self.weights: dict[int, list[np.ndarray]] = {}
        self.optimizer: dict[int, list[np.ndarray]] = {}
        self.states: dict[int, list[np.ndarray]] = {}
        self.scores: dict[int, dict[str, float]] = {}  # of Keras's loss and metrics on test arrays
        self.errors: dict[int, BaseException] = {}
        self.snapshots: dict[int, Path] = {}
        self.engines: list[tuple[str, tuple[str, ...]]] = []  # name, and a reason for each job
        self._folder, self._stop_after = folder, stop_after or {}

    def output(self, control: JobControl) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def guard(self, control: JobControl) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors[control.claim.job_id] = error
            control.finish(error)

    hold = guard

    def begin(self, choice: Choice, jobs: Sequence[PreparedJob]) -> None:
        if choice.jobs[0] not in jobs:
            return
        self.engines.append((choice.engine.name, tuple(choice.reasons)))

    def measure(self, engine: str, jobs: Sequence[PreparedJob]) -> None:
        pass

    def epoch(self, fit: Fit, logs: dict[str, float], seconds: float) -> None:
        self.logs.setdefault(fit.job.claim.job_id, []).append((fit.epoch - 1, logs))

    def is_due(self, fit: Fit) -> bool:
        return self._stop_after.get(fit.job.claim.job_id) == fit.epoch

    def checkpoint(self, fit: Fit, model: Any) -> None:
        assert self._folder is not None
        number = fit.job.claim.job_id
        path = self._folder / f"{number}.weights.h5"
        checkpoint.write(
            path,
            model,
            epoch=fit.epoch,
            has_stopped=bool(fit.model.stop_training),
            history=fit.history,
            callbacks=fit.callbacks,
            more={},
        )
        self.snapshots[number] = path
        raise Interrupted(StopReason.RELEASE)

    def end(self, fit: Fit, model: Any) -> None:
        number = fit.job.claim.job_id
        self.weights[number] = [v.numpy() for v in model.variables]
        self.optimizer[number] = [v.numpy() for v in optimizer_variables(model.optimizer)]
        self.states[number] = [v.numpy() for v in rnn_states(model)]
        self.scores[number] = evaluate.scores(model, fit, SETTINGS)["keras"]


def prepared(
    spec: JobSpec, arrays: Arrays, number: int, path: Path | None = None, **options: Any
) -> PreparedJob:
    """A job that no database knows; it resumes from the checkpoint at `path`.

    Its last rows to train on are its test arrays, as many as it has validation rows.
    """
    claim = Claim(
        job_id=number,
        attempt=1,
        worker="here",
        experiment="engines",
        spec=spec.canonical(),
        options="{}",
        checkpoint_path=None,
        checkpoint_epoch=None,
        fuse_key="one",
        timeout_s=None,
        stall_timeout_s=None,
        memory_step=0,
        seconds=0.0,
    )
    count = rows_of(arrays.x_val) or 13
    x_test, y_test = (take(part, slice(-count, None)) for part in (arrays.x, arrays.y))
    arrays = split_validation(replace(arrays, x_test=x_test, y_test=y_test), spec.validation_split)
    snapshot = None if path is None else checkpoint.read(path, SETTINGS)
    return PreparedJob(JobControl(claim), spec, JobOptions(**options), arrays, snapshot)


def resumed(spec: JobSpec, arrays: Arrays, number: int, path: Path) -> PreparedJob:
    """A job that resumes from a checkpoint."""
    return prepared(spec, arrays, number, path)


def perturbed(spec: JobSpec, arrays: Arrays, number: int, path: Path) -> PreparedJob:
    """A job whose initial weights are moved by 1e-7 of themselves, up or down."""
    model = build(spec, SETTINGS)
    model.optimizer.build(model.trainable_variables)
    signs = np.random.default_rng(number)
    for variable in model.trainable_variables:
        value = variable.numpy()
        variable.assign(value * (1 + 1e-7 * signs.choice((-1, 1), value.shape)))
    checkpoint.write(path, model, epoch=0, has_stopped=False, history=[], callbacks=[], more={})
    return resumed(spec, arrays, number, path)


def distance(left: Ledger, right: Ledger) -> float:
    """The largest difference of a variable's final values, relative to their norm."""
    pairs = [
        (a.astype("float64"), b.astype("float64"))
        for number, values in left.weights.items()
        for a, b in zip(values, right.weights[number], strict=True)
    ]
    return max(float(np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-9)) for a, b in pairs)


def train(engine: Engine, jobs: Sequence[PreparedJob], ledger: Ledger | None = None) -> Ledger:
    """What the engine made of the jobs."""
    return run(Choice(engine, jobs, [""] * len(jobs)), ledger or Ledger())


def run(choice: Choice, ledger: Ledger) -> Ledger:
    """Train what was chosen, and keep what comes out."""
    for done, model in fit.train(choice, ledger, SETTINGS):
        ledger.end(done, model)
    return ledger


def spec(model: Any, **given: Any) -> JobSpec:
    """A JobSpec; the arrays come from elsewhere."""
    return job_spec(SETTINGS, model=model, dataset="unused.h5", **given)


def scaled(spec: JobSpec, by: float) -> JobSpec:
    """The same with other dropout rates and regularization factors."""
    _, values = tunable_scalars.separate(spec.model.config)
    config = tunable_scalars.fill(spec.model.config, [value * by for value in values])
    return spec.model_copy(update={"model": ModelSpec(config=config)})


def assert_close(left: Ledger, right: Ledger, tolerance: float) -> None:
    """Histories, weights and optimizer, relative to the largest number of each variable."""
    for error in [*left.errors.values(), *right.errors.values()]:
        raise error
    for number, epochs in left.logs.items():
        for (epoch, logs), (other_epoch, others) in zip(epochs, right.logs[number], strict=True):
            assert epoch == other_epoch and logs.keys() == others.keys()
            for name in logs:
                assert abs(logs[name] - others[name]) <= tolerance * max(1, abs(others[name])), (
                    number,
                    epoch,
                    name,
                )
    assert left.scores.keys() == right.scores.keys()
    for number, scores in left.scores.items():
        assert scores.keys() == right.scores[number].keys() and "test_loss" in scores
        for name, value in scores.items():
            other_value = right.scores[number][name]
            assert abs(value - other_value) <= tolerance * max(1, abs(other_value)), (number, name)
    for kind in ("weights", "optimizer"):
        for number, values in getattr(left, kind).items():
            for index, (a, b) in enumerate(zip(values, getattr(right, kind)[number], strict=True)):
                scale = max(1.0, float(np.abs(b).max(initial=0)))
                distance = float(np.abs(a.astype("float64") - b).max(initial=0))
                assert distance <= tolerance * scale, (kind, number, index, distance)


def assert_same(left: Ledger, right: Ledger) -> None:
    """Bit for bit: histories, weights, optimizer, RNN states."""
    for error in [*left.errors.values(), *right.errors.values()]:
        raise error
    assert left.logs == right.logs
    assert left.scores == right.scores and all("test_loss" in each for each in left.scores.values())
    assert left.weights.keys() == right.weights.keys()
    for name in ("weights", "optimizer", "states"):
        for number, values in getattr(left, name).items():
            others = getattr(right, name)[number]
            for index, (a, b) in enumerate(zip(values, others, strict=True)):
                np.testing.assert_array_equal(a, b, err_msg=f"{name} {number}, variable {index}")
