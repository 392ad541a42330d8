"""The expected time of jobs of one architecture by each engine, from measured times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fitfleet.worker.engines.speeds import OPEN, Keys, Speeds

LOOP, FUSED = "loop", "fused"
# The assumed speed-up of the stack, until both engines have been measured for the architecture.
_EXPECTED_GAIN = 2.0
# The assumed ratio of the time of an epoch with open widths to that with fixed ones; measured were
# 0.90 to 1.04.
_OPEN_OVER_FUSED = 1.05


@dataclass(frozen=True)
class Work:
    """Jobs that one program can train."""

    keys: Keys
    layers: int
    epochs: int  # left to train, of all jobs together
    widths: int  # how many of the architecture this child has trained, this one included


class Expected:
    """Expected seconds by engine; None while the loop has not been measured for such jobs."""

    def __init__(
        self,
        speeds: Speeds,
        work: Work,
        available: Mapping[str, bool],
        ages_s: Mapping[str, float | None],
        *,
        can_read: bool,
    ) -> None:
        """`available`: of each engine to compare, whether this child has its program.

        `ages_s`: seconds since another child began to trace one, by engine.
        """
        self._speeds, self._work, self._can_read = speeds, work, can_read
        self._ages_s = ages_s
        self.epoch_s = _epochs_s(speeds, work.keys)
        self._once_s = {name: 0.0 if available[name] else self._new_s(name) for name in available}

    def _new_s(self, name: str) -> float:
        work = self._work
        seconds = self._speeds.once_s(work.keys, name, work.layers, can_read=self._can_read)
        age_s = self._ages_s.get(name)
        if age_s is not None and age_s < seconds:
            read_s = self._speeds.once_s(work.keys, name, work.layers, can_read=True)
            return seconds - age_s + min(seconds, read_s)
        is_kept = self._can_read and self._speeds.is_kept(work.keys, name)
        # One trace serves all widths, and with many so far more are expected.
        return seconds if is_kept or name != OPEN else seconds / work.widths

    def all_s(self, name: str) -> float | None:
        """Seconds until all epochs of the jobs are trained, with tracing."""
        loop_s = self.epoch_s[LOOP]
        if loop_s is None:
            return None
        epoch_s = self.epoch_s[name]
        if epoch_s is None:
            epoch_s = loop_s / _EXPECTED_GAIN * (_OPEN_OVER_FUSED if name == OPEN else 1.0)
        return self._once_s[name] + epoch_s * self._work.epochs

    def gain_s(self, stack: str) -> float:
        """Seconds that the stack would gain over the loop if it needed no trace."""
        loop_s, stack_s = self.all_s(LOOP), self.all_s(stack)
        if loop_s is None or stack_s is None:
            return 0.0
        return max(0.0, loop_s - self._once_s[LOOP] - (stack_s - self._once_s[stack]))

    def _charged_s(self, name: str) -> float:
        """All seconds, less those that earlier cohorts have lost without the program.

        How many cohorts will follow is unknown. Tracing once they have lost what a trace costs
        wastes at most that time, however few or many follow (as in ski rental).
        """
        missed_s = 0.0 if name == LOOP else self._speeds.missed_s(self._work.keys, name)
        return (self.all_s(name) or 0.0) - min(self._once_s[name], missed_s)

    def order(self) -> Sequence[str]:
        """The engines, the fastest first; of equal ones the one with fixed widths."""
        names = [name for name in (FUSED, OPEN, LOOP) if name in self._once_s]
        if self.epoch_s[LOOP] is None:
            stacks = sorted(names[:-1], key=self._once_s.__getitem__)
            return [*stacks, LOOP]
        return sorted(names, key=self._charged_s)

    def text(self, stack: str) -> str:
        """The measured and expected seconds, for the row."""
        loop_s, loop_all_s, stack_all_s = self.epoch_s[LOOP], self.all_s(LOOP), self.all_s(stack)
        if loop_s is None:
            return "not measured yet"
        stack_s = self.epoch_s[stack]
        measured = "not measured yet" if stack_s is None else f"{stack_s:.3g}"
        return (
            f"s an epoch: {measured} fused, {loop_s:.3g} looped; in all {stack_all_s:.3g} and"
            f" {loop_all_s:.3g} s expected"
        )


def _epochs_s(speeds: Speeds, keys: Keys) -> dict[str, float | None]:
    """Seconds of an epoch of one job by engine; loop and stack of the same widths if measured."""
    levels = [{name: speeds.get(key, name) for name in (LOOP, OPEN, FUSED)} for key in keys]
    for measured in levels:
        if measured[LOOP] is not None and _has_stack(measured):
            return {LOOP: measured[LOOP], **_stacks_s(measured, measured is levels[0])}
    loop_s = next((m[LOOP] for m in levels if m[LOOP] is not None), None)
    stacks = next(filter(_has_stack, levels), levels[0])
    return {LOOP: loop_s, **_stacks_s(stacks, stacks is levels[0])}


def _has_stack(measured: Mapping[str, float | None]) -> bool:
    return (measured[OPEN] or measured[FUSED]) is not None


def _stacks_s(measured: Mapping[str, float | None], is_same_width: bool) -> dict[str, float | None]:
    """Both stacks, as measured on the same widths, or one of them from the other."""
    open_s, fused_s = measured[OPEN], measured[FUSED]
    if open_s is not None and fused_s is not None and is_same_width:
        return {OPEN: open_s, FUSED: fused_s}
    candidates = [fused_s, None if open_s is None else open_s / _OPEN_OVER_FUSED]
    base_s = min((s for s in candidates if s is not None), default=None)
    return {OPEN: None if base_s is None else base_s * _OPEN_OVER_FUSED, FUSED: base_s}
