"""Which engine trains which jobs: by their specs, and by measured times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.settings import Settings
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.expected_cost import FUSED, LOOP, Expected, Work
from fitfleet.worker.engines.fused.fused import FusedFit
from fitfleet.worker.engines.fused.fused_open_widths import OpenFusedFit
from fitfleet.worker.engines.fusible import has_stacked_form, layer_count, unfusable
from fitfleet.worker.engines.programs.functions import program_store, speeds_folder
from fitfleet.worker.engines.single_job.keras_fit import KerasFit
from fitfleet.worker.engines.single_job.loop import LoopFit, unsupported
from fitfleet.worker.engines.speeds import OPEN, Keys, Speeds
from fitfleet.worker.engines.traced.feed import Feeds
from fitfleet.worker.prepared_job import PreparedJob
from fitfleet.worker.recording.error_text import explanation

# For fewer jobs a trace of the stack costs more than it gains; once it is traced, two are enough.
_MIN_JOBS = 6
# After so many widths of an architecture more are expected.
_MANY_WIDTHS = 3


@dataclass(frozen=True)
class Choice:
    """Jobs with the engine that trains them, and the reason for each, which its row shows."""

    engine: Engine
    jobs: Sequence[PreparedJob]
    reasons: Sequence[str]


class Engines:
    """The engines of a child, which keep their traced programs between jobs."""

    def __init__(self, settings: Settings, replicas: int = 1) -> None:
        """`replicas` above 1: every job is trained on as many devices, each a part of its batch."""
        self._settings = settings
        self._replicas = replicas
        self._speeds = Speeds(speeds_folder(settings))
        feeds = Feeds(settings.memory_bytes)  # one copy of the data for both
        self._fit = KerasFit(settings, replicas)
        self._store = store = program_store(settings)
        self._can_read = store is not None and store.is_usable
        self._loop = LoopFit(settings, self._speeds, feeds, fallback=self._fit, store=store)
        self._fused = FusedFit(settings, self._speeds, feeds, fallback=self._loop, store=store)
        self._open = OpenFusedFit(settings, self._speeds, feeds, fallback=self._loop, store=store)
        self._widths: dict[str, set[int]] = {}  # trained so far: hashes, by family key

    def choose(self, jobs: Sequence[PreparedJob]) -> Iterator[Choice]:
        """Groups of jobs, each with its engine.

        The next group is chosen after the one before it has been trained, so that its measurements
        count.
        """
        looped: list[PreparedJob] = []
        others: list[tuple[PreparedJob, str]] = []
        for job in jobs:
            reason = self._spread() or unsupported(job, self._settings)
            if reason:
                others.append((job, reason))
            else:
                looped.append(job)
        yield from self._programs(looped)
        if others:
            yield Choice(self._fit, *zip(*others, strict=True))

    def _spread(self) -> str:
        return f"MirroredStrategy on {self._replicas} devices" if self._replicas > 1 else ""

    def _programs(self, jobs: Sequence[PreparedJob]) -> Iterator[Choice]:
        """Groups of jobs for the engines loop and fused."""
        fusible: list[PreparedJob] = []
        for job in jobs:
            reason = unfusable(job)
            if reason:
                yield Choice(self._loop, [job], [f"not fused: {reason}"])
            else:
                fusible.append(job)
        if len(fusible) > _MIN_JOBS and self._is_unmeasured(fusible[0]):
            # The epochs of one job tell whether a trace of the stack would pay for the others.
            first, *fusible = fusible
            yield Choice(self._loop, [first], ["measured for the others of its cohort"])
        fusible = [job for job in fusible if not job.control.is_done]  # another slot has it
        if fusible:
            engine, reason = self._decide(fusible)
            yield Choice(engine, fusible, [reason] * len(fusible))

    def _is_unmeasured(self, job: PreparedJob) -> bool:
        """Whether neither its layers nor a measurement tell how much a stack would gain."""
        if has_stacked_form(job.spec):
            return False
        try:
            return self._speeds.of_any_width(self._keys(job), LOOP) is None
        except Exception:  # such as one of its data: `_decide` raises it again, for the reason
            return False

    def _keys(self, job: PreparedJob) -> Keys:
        return self._fused.key(job), self._open.key(job) or None

    def _decide(self, jobs: Sequence[PreparedJob]) -> tuple[Engine, str]:
        """The engine, and the reason."""
        count, failure = len(jobs), None
        try:
            work = self._work(jobs)
            available = self._available(jobs[0], work)
            names = [name for name in (OPEN, FUSED) if self._is_worth(name, count, work, available)]
            if not names:
                reason = f"only {count} jobs of this program, fewer than {_MIN_JOBS}"
                return self._loop, "trained alone" if count == 1 else reason
            order, text = self._compare(jobs[0], work, names)
            for name in order[: order.index(LOOP)]:
                failure = self._engine(name).trace(jobs[0])
                if failure is None:
                    return self._engine(name), f"{text}, {count} in the cohort"
        except Exception as error:  # each job raises its own when it is looped
            failure = explanation(error)
        if failure is not None:
            return self._loop, f"cannot be fused: {failure}"
        return self._loop, f"{text}, {count} in the cohort"

    def _work(self, jobs: Sequence[PreparedJob]) -> Work:
        keys, spec = self._keys(jobs[0]), jobs[0].spec
        widths = self._widths.setdefault(keys[1], set()) if keys[1] else set()
        widths.add(hash(keys[0]))
        epochs = sum(max(0, job.spec.epochs - job.first_epoch) for job in jobs)
        return Work(keys, layer_count(spec), epochs, len(widths))

    def _available(self, job: PreparedJob, work: Work) -> dict[str, bool]:
        """Which stacks need no trace: they are traced in this process, or stored on the disk."""
        return {
            name: self._engine(name).is_traced(job)
            or (self._can_read and self._speeds.is_kept(work.keys, name))
            for name in (OPEN, FUSED)
        }

    def _is_worth(self, name: str, count: int, work: Work, available: dict[str, bool]) -> bool:
        """Whether a stack is considered for so many jobs."""
        if name == OPEN and work.keys[1] is None:
            return False
        if count == 1:  # its numbers must not depend on earlier jobs of the child
            return False
        if count >= _MIN_JOBS or available[name]:
            return True
        # A sweep over widths has small cohorts.
        is_measured = self._speeds.of_any_width(work.keys, LOOP) is not None
        return name == OPEN and is_measured and work.widths >= _MANY_WIDTHS

    def _compare(
        self, job: PreparedJob, work: Work, names: Sequence[str]
    ) -> tuple[Sequence[str], str]:
        """(the engines that may train the job, the fastest first; measurements, for the row)."""
        traced = {name: self._engine(name).is_traced(job) for name in (*names, LOOP)}
        expected = Expected(self._speeds, work, traced, self._ages_s(work), can_read=self._can_read)
        order = expected.order()
        stack = next(name for name in order if name != LOOP)
        missed_s = self._speeds.missed_s(work.keys, stack) + expected.gain_s(stack)
        self._speeds.set_missed(work.keys, stack, missed_s if order[0] == LOOP else 0.0)
        text = expected.text(stack)
        return order, f"{text}, one program for any width" if order[0] == OPEN else text

    def _ages_s(self, work: Work) -> dict[str, float | None]:
        """Seconds since another child began to trace the program, by engine."""
        ages_s: dict[str, float | None] = {}
        for name in (OPEN, FUSED, LOOP):
            tracing = self._speeds.tracing(self._store, name, work.keys, work.layers)
            ages_s[name] = None if tracing is None else tracing.lock.age_s()
        return ages_s

    def _engine(self, name: str) -> Any:
        return {LOOP: self._loop, FUSED: self._fused, OPEN: self._open}[name]
