"""Which engine trains which jobs: by what they are, and by what has been measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fitfleet.settings import Settings
from fitfleet.worker.engines.engine import Engine
from fitfleet.worker.engines.feed import Feeds
from fitfleet.worker.engines.fused import FusedFit
from fitfleet.worker.engines.fusible import has_stacked_form, unfusable
from fitfleet.worker.engines.keras_fit import KerasFit
from fitfleet.worker.engines.loop import LoopFit, unsupported
from fitfleet.worker.engines.speeds import Speeds
from fitfleet.worker.job import PreparedJob
from fitfleet.worker.recording.explanation import explanation

# Below so many jobs a trace of the stack does not pay; once it is traced, two are enough.
_MIN_JOBS = 6
# What a trace of the stack costs, and by how much it may be expected to be quicker, until both
# engines have been measured for the architecture.
_TRACE_S = 2.0
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
        self._speeds = Speeds(Path(settings.cache))
        feeds = Feeds()  # one copy of the data for both
        self._fit = KerasFit(settings)
        self._loop = LoopFit(settings, self._speeds, feeds, fallback=self._fit)
        self._fused = FusedFit(settings, self._speeds, feeds, fallback=self._loop)

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
            is_traced = count > 1 and self._fused.is_traced(jobs[0])
            if count < _MIN_JOBS and not is_traced:
                few = f"only {count} jobs of this program, fewer than {_MIN_JOBS}"
                return False, "trained alone" if count == 1 else few
            is_quicker, text = self._compare(jobs, is_traced=is_traced)
            failure = self._fused.trace(jobs[0]) if is_quicker else None
        except Exception as error:  # whose it is, shows when each of them meets it alone
            is_quicker, text, failure = False, "", explanation(error)
        if failure is not None:
            return False, f"cannot be fused: {failure}"
        return is_quicker, f"{text}, {count} in the cohort"

    def _compare(self, jobs: Sequence[PreparedJob], *, is_traced: bool) -> tuple[bool, str]:
        """Whether the stack is expected to be quicker, and what that is known from."""
        key = self._fused.key(jobs[0])
        loop_s, fused_s = self._speeds.get(key, "loop"), self._speeds.get(key, "fused")
        epochs = sum(max(0, job.spec.epochs - job.first_epoch) for job in jobs)
        trace_s = 0.0 if is_traced else _TRACE_S
        if loop_s is not None and fused_s is not None:
            is_quicker = fused_s * epochs + trace_s < loop_s * epochs
            return is_quicker, f"{fused_s:.3g} s an epoch fused, {loop_s:.3g} s looped"
        if loop_s is not None:
            is_quicker = loop_s * epochs * (1 - 1 / _EXPECTED_GAIN) > trace_s
            return is_quicker, f"{loop_s:.3g} s an epoch looped, fused not measured yet"
        return True, "not measured yet"
