"""Hooks that keep in memory what an engine hands out, and the specs that engines are tried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fitfleet.data.arrays import Arrays, split_validation
from fitfleet.db.leases import Claim
from fitfleet.settings import Settings
from fitfleet.spec import factors
from fitfleet.spec.job import JobOptions, JobSpec, ModelSpec
from fitfleet.spec.submission import job_spec
from fitfleet.worker.build import build
from fitfleet.worker.engines.engine import (
    Engine,
    EpochLogs,
    Interrupted,
    Member,
    MemberState,
    StopReason,
)
from fitfleet.worker.engines.trace_cache import optimizer_variables
from fitfleet.worker.state import checkpoint

SETTINGS = Settings()


class Ledger:
    """Every member's logs, and its variables at the end. Stops a member after an epoch if told."""

    def __init__(
        self, folder: Path | None = None, stop_after: dict[int, int] | None = None
    ) -> None:
        self.logs: dict[int, list[tuple[int, dict[str, float]]]] = {}
        self.weights: dict[int, list[np.ndarray]] = {}
        self.optimizer: dict[int, list[np.ndarray]] = {}
        self.states: dict[int, list[np.ndarray]] = {}
        self.errors: dict[int, BaseException] = {}
        self.snapshots: dict[int, Path] = {}
        self.begun: list[tuple[int, int]] = []
        self._folder, self._stop_after = folder, stop_after or {}

    @contextmanager
    def running(self, member: Member) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors[member.claim.job_id] = error
        finally:
            member.is_done = True

    @contextmanager
    def preparing(self, member: Member) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors[member.claim.job_id] = error
            member.is_done = True

    def epoch_begin(self, member: Member, epoch: int) -> None:
        self.begun.append((member.claim.job_id, epoch))

    def batch_end(self, member: Member) -> None:
        member.batches += 1

    def epoch_end(
        self, member: Member, epoch: int, logs: dict[str, float], state: MemberState
    ) -> bool:
        number = member.claim.job_id
        self.logs.setdefault(number, []).append((epoch, logs))
        member.history.append(EpochLogs(epoch, logs))
        if self._folder is not None and epoch + 1 == self._stop_after.get(number):
            path = self._folder / f"{number}.weights.h5"
            checkpoint.write(
                path,
                state.model(),
                epoch=epoch + 1,
                has_stopped=state.has_stopped,
                history=member.history,
                callbacks=member.callbacks,
                more={},
            )
            self.snapshots[number] = path
            raise Interrupted(StopReason.RELEASE)
        return state.has_stopped

    def train_end(self, member: Member, state: MemberState) -> None:
        number, model = member.claim.job_id, state.model()
        self.weights[number] = [v.numpy() for v in model.variables]
        self.optimizer[number] = [v.numpy() for v in optimizer_variables(model.optimizer)]
        self.states[number] = [v.numpy() for v in checkpoint.rnn_states(model)]


def member(spec: JobSpec, arrays: Arrays, number: int, **options: Any) -> Member:
    """A member that no database knows."""
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
    arrays = split_validation(arrays, spec.validation_split)
    return Member(claim=claim, spec=spec, options=JobOptions(**options), arrays=arrays)


def resumed(spec: JobSpec, arrays: Arrays, number: int, path: Path) -> Member:
    """A member that goes on from a checkpoint."""
    found = member(spec, arrays, number)
    found.snapshot = checkpoint.read(path, SETTINGS)
    found.history = list(found.snapshot.history)
    return found


def perturbed(spec: JobSpec, arrays: Arrays, number: int, path: Path) -> Member:
    """A member whose initial weights are moved by 1e-7 of themselves, up or down."""
    model = build(spec, SETTINGS)
    model.optimizer.build(model.trainable_variables)
    signs = np.random.default_rng(number)
    for variable in model.trainable_variables:
        value = variable.numpy()
        variable.assign(value * (1 + 1e-7 * signs.choice((-1, 1), value.shape)))
    checkpoint.write(path, model, epoch=0, has_stopped=False, history=[], callbacks=[], more={})
    return resumed(spec, arrays, number, path)


def distance(one: Ledger, other: Ledger) -> float:
    """The largest difference of a variable's final values, relative to their norm."""
    pairs = [
        (a.astype("float64"), b.astype("float64"))
        for number, values in one.weights.items()
        for a, b in zip(values, other.weights[number], strict=True)
    ]
    return max(float(np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-9)) for a, b in pairs)


def train(engine: Engine, members: Sequence[Member], ledger: Ledger | None = None) -> Ledger:
    """What the engine made of the members."""
    ledger = ledger or Ledger()
    engine.fit(members, ledger)
    return ledger


def spec(model: Any, **given: Any) -> JobSpec:
    """A JobSpec; the arrays come from elsewhere."""
    return job_spec(SETTINGS, model=model, dataset="unused.h5", **given)


def scaled(spec: JobSpec, by: float) -> JobSpec:
    """The same with other dropout rates and regularization factors."""
    _, values = factors.separate(spec.model.config)
    config = factors.fill(spec.model.config, [value * by for value in values])
    return spec.model_copy(update={"model": ModelSpec(config=config)})


def assert_close(one: Ledger, other: Ledger, tolerance: float) -> None:
    """Histories, weights and optimizer, relative to the largest number of each variable."""
    for error in [*one.errors.values(), *other.errors.values()]:
        raise error
    for number, epochs in one.logs.items():
        for (epoch, logs), (other_epoch, others) in zip(epochs, other.logs[number], strict=True):
            assert epoch == other_epoch and logs.keys() == others.keys()
            for name in logs:
                assert abs(logs[name] - others[name]) <= tolerance * max(1, abs(others[name])), (
                    number,
                    epoch,
                    name,
                )
    for kind in ("weights", "optimizer"):
        for number, values in getattr(one, kind).items():
            for index, (a, b) in enumerate(zip(values, getattr(other, kind)[number], strict=True)):
                scale = max(1.0, float(np.abs(b).max(initial=0)))
                distance = float(np.abs(a.astype("float64") - b).max(initial=0))
                assert distance <= tolerance * scale, (kind, number, index, distance)


def assert_same(one: Ledger, other: Ledger) -> None:
    """Bit for bit: histories, weights, optimizer, RNN states."""
    for error in [*one.errors.values(), *other.errors.values()]:
        raise error
    assert one.logs == other.logs
    assert one.weights.keys() == other.weights.keys()
    for name in ("weights", "optimizer", "states"):
        for number, values in getattr(one, name).items():
            others = getattr(other, name)[number]
            for index, (a, b) in enumerate(zip(values, others, strict=True)):
                np.testing.assert_array_equal(a, b, err_msg=f"{name} {number}, variable {index}")
