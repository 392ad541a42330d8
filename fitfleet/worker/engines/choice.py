"""Which engine trains which jobs: by what they are, and by what has been measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fitfleet.settings import Settings
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.feed import Feeds
from fitfleet.worker.engines.functions import program_store, speeds_folder
from fitfleet.worker.engines.fused import FusedFit
from fitfleet.worker.engines.fusible import has_stacked_form, layer_count, unfusable
from fitfleet.worker.engines.keras_fit import KerasFit
from fitfleet.worker.engines.loop import LoopFit, unsupported
from fitfleet.worker.engines.speeds import Speeds
from fitfleet.worker.job import PreparedJob
from fitfleet.worker.recording.explanation import explanation

# Below so many jobs a trace of the stack does not pay; once it is traced, two are enough.
_MIN_JOBS = 6
# By how much the stack may be expected to be quicker, until both engines have been measured for
# the architecture.
_EXPECTED_GAIN = 2.0


@dataclass(frozen=True)
class Choice:
    """Jobs with the engine that trains them, and for each the reason, which its row shows."""

    engine: Engine
    jobs: Sequence[PreparedJob]
    reasons: Sequence[str]


class Engines:
    """The engines of a child, which keep what they have traced between jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._speeds = Speeds(speeds_folder(settings))
        feeds = Feeds(settings.memory_bytes)  # one copy of the data for both
        self._fit = KerasFit(settings)
        store = program_store(settings)
        self._can_read = store is not None and store.is_usable
        self._loop = LoopFit(settings, self._speeds, feeds, fallback=self._fit, store=store)
        self._fused = FusedFit(settings, self._speeds, feeds, fallback=self._loop, store=store)

    def choose(self, jobs: Sequence[PreparedJob]) -> Iterator[Choice]:
        """Groups of jobs, each with its engine.

        The next group is chosen after the one before it has been trained, so that what was
        measured there counts.
        """
        looped: list[PreparedJob] = []
        others: list[tuple[PreparedJob, str]] = []
        for job in jobs:
            reason = unsupported(job, self._settings)
            if reason:
                others.append((job, reason))
            else:
                looped.append(job)
        yield from self._programs(looped)
        if others:
            yield Choice(self._fit, *zip(*others, strict=True))

    def _programs(self, jobs: Sequence[PreparedJob]) -> Iterator[Choice]:
        """By one of the programs that train whole epochs."""
        fusible: list[PreparedJob] = []
        for job in jobs:
            reason = unfusable(job)
            if reason:
                yield Choice(self._loop, [job], [f"not fused: {reason}"])
            else:
                fusible.append(job)
        if len(fusible) > _MIN_JOBS and self._is_unknown(fusible[0]):
            # One job's epochs tell whether a trace of the stack can pay for the others.
            first, *fusible = fusible
            yield Choice(self._loop, [first], ["measured for the others of its cohort"])
        fusible = [job for job in fusible if not job.control.is_done]  # gone to another slot
        if fusible:
            is_fused, reason = self._decide(fusible)
            engine: Engine = self._fused if is_fused else self._loop
            yield Choice(engine, fusible, [reason] * len(fusible))

    def _is_unknown(self, job: PreparedJob) -> bool:
        """Whether neither its model nor a measurement tells how much a stack would gain."""
        if has_stacked_form(job.spec):
            return False
        try:
            return self._speeds.get(self._fused.key(job), "loop") is None
        except Exception:  # of its data, say; `_decide` gives the reason, and the job meets it
            return False

    def _decide(self, jobs: Sequence[PreparedJob]) -> tuple[bool, str]:
        """Whether to fuse, and the reason."""
        count = len(jobs)
        try:
            if count < _MIN_JOBS and not (count > 1 and self._is_at_hand(jobs[0])):
                few = f"only {count} jobs of this program, fewer than {_MIN_JOBS}"
                return False, "trained alone" if count == 1 else few
            is_quicker, text = self._compare(jobs)
            failure = self._fused.trace(jobs[0]) if is_quicker else None
        except Exception as error:  # whose it is, shows when each of them meets it alone
            is_quicker, text, failure = False, "", explanation(error)
        if failure is not None:
            return False, f"cannot be fused: {failure}"
        return is_quicker, f"{text}, {count} in the cohort"

    def _is_at_hand(self, job: PreparedJob) -> bool:
        """Whether the stack needs no trace, in this process or by what is on the disk."""
        if self._fused.is_traced(job):
            return True
        return self._can_read and self._speeds.get(self._fused.key(job), "fused kept") is not None

    def _compare(self, jobs: Sequence[PreparedJob]) -> tuple[bool, str]:
        """Whether the stack is expected to end sooner, and what that is known from."""
        key = self._fused.key(jobs[0])
        loop_s, fused_s = self._speeds.get(key, "loop"), self._speeds.get(key, "fused")
        if loop_s is None:
            return True, "not measured yet"
        epochs = sum(max(0, job.spec.epochs - job.first_epoch) for job in jobs)
        expected_s = loop_s / _EXPECTED_GAIN if fused_s is None else fused_s
        fused_all_s = self._once_s(self._fused, jobs[0], key) + expected_s * epochs
        loop_all_s = self._once_s(self._loop, jobs[0], key) + loop_s * epochs
        measured = "not measured yet" if fused_s is None else f"{fused_s:.3g}"
        return fused_all_s < loop_all_s, (
            f"s an epoch: {measured} fused, {loop_s:.3g} looped; in all {fused_all_s:.3g} and"
            f" {loop_all_s:.3g} s expected"
        )

    def _once_s(self, engine: FusedFit | LoopFit, job: PreparedJob, key: str) -> float:
        """What the engine's program still costs before all epochs cost the same."""
        if engine.is_traced(job):
            return 0.0
        return self._speeds.once_s(key, engine.name, layer_count(job.spec), can_read=self._can_read)
