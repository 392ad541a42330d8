"""Which engine trains which members: by what they are, and by what has been measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fitfleet.settings import Settings
from fitfleet.worker.engines.engine import Engine, Member
from fitfleet.worker.engines.feed import Feeds
from fitfleet.worker.engines.fused import FusedFit
from fitfleet.worker.engines.fusible import has_stacked_form, unfusable
from fitfleet.worker.engines.keras_fit import KerasFit
from fitfleet.worker.engines.loop import LoopFit, unsupported
from fitfleet.worker.engines.speeds import Speeds
from fitfleet.worker.recording.explanation import explanation

# Below so many members a trace of the stack does not pay; once it is traced, two are enough.
_LEAST_MEMBERS = 6
# What a trace of the stack costs, and by how much it may be expected to be quicker, until both
# ways have been measured for the architecture.
_TRACE_S = 2.0
_EXPECTED_GAIN = 2.0


class Engines:
    """The engines of a child, which keep what they have traced between jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._speeds = Speeds(Path(settings.cache))
        self._fit = KerasFit(settings)
        feeds = Feeds()  # one copy of the data for both
        self._loop = LoopFit(settings, self._speeds, feeds)
        self._fused = FusedFit(settings, self._speeds, feeds)

    def choose(self, members: Sequence[Member]) -> Iterator[tuple[Engine, Sequence[Member]]]:
        """Groups of members, each with the engine that trains it; members say why.

        The next group is chosen after the one before it has been trained, so that what was
        measured there counts.
        """
        looped: list[Member] = []
        others: list[Member] = []
        for member in members:
            reason = unsupported(member, self._settings)
            member.engine_reason = reason or ""
            (others if reason else looped).append(member)
        yield from self._programs(looped)
        if others:
            yield self._fit, others

    def _programs(self, members: Sequence[Member]) -> Iterator[tuple[Engine, Sequence[Member]]]:
        """By one of the programs that train whole epochs."""
        fusible: list[Member] = []
        for member in members:
            reason = unfusable(member)
            if reason:
                member.engine_reason = f"not fused: {reason}"
                yield self._loop, [member]
            else:
                fusible.append(member)
        if not fusible:
            return
        try:
            is_unmeasured = self._is_unmeasured(fusible)
            is_traced = len(fusible) > 1 and self._fused.is_traced(fusible[0])
        except Exception as error:  # each of them meets it alone, and ends with it
            for member in fusible:
                member.engine_reason = f"cannot be fused: {explanation(error)}"
            yield self._loop, fusible
            return
        if is_unmeasured and not has_stacked_form(fusible[0].spec):
            # One member's epochs tell whether a trace of the stack can pay for the others.
            first, *fusible = fusible
            first.engine_reason = "measured for the others of its cohort"
            yield self._loop, [first]
        is_fused, reason = self._decide(fusible, is_traced=is_traced)
        for member in fusible:
            member.engine_reason = reason
        if fusible:
            yield (self._fused if is_fused else self._loop), fusible

    def _is_unmeasured(self, members: Sequence[Member]) -> bool:
        if len(members) < _LEAST_MEMBERS:
            return False
        key = self._fused.key(members[0])
        return len(members) > _LEAST_MEMBERS and self._speeds.get(key, "loop") is None

    def _decide(self, members: Sequence[Member], *, is_traced: bool) -> tuple[bool, str]:
        """Whether to fuse, and the reason."""
        count = len(members)
        if count < _LEAST_MEMBERS and not is_traced:
            return False, f"{count} in the cohort, fewer than {_LEAST_MEMBERS}"
        key = self._fused.key(members[0])
        loop_s, fused_s = self._speeds.get(key, "loop"), self._speeds.get(key, "fused")
        epochs = sum(max(0, m.spec.epochs - m.first_epoch) for m in members)
        trace_s = 0.0 if is_traced else _TRACE_S
        if loop_s is not None and fused_s is not None:
            is_quicker = fused_s * epochs + trace_s < loop_s * epochs
            text = f"{fused_s:.3g} s an epoch fused, {loop_s:.3g} s looped"
        elif loop_s is not None:
            is_quicker = loop_s * epochs * (1 - 1 / _EXPECTED_GAIN) > trace_s
            text = f"{loop_s:.3g} s an epoch looped, fused not measured yet"
        else:
            is_quicker, text = True, "not measured yet"
        text = f"{text}, {count} in the cohort"
        if not is_quicker:
            return False, text
        failure = self._fused.trace(members)
        return failure is None, text if failure is None else f"cannot be fused: {failure}"
