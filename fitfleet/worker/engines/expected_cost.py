"""What jobs of one architecture are expected to cost by each engine, from what is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fitfleet.worker.engines.speeds import OPEN, Keys, Speeds

LOOP, FUSED = "loop", "fused"
# By how much the stack may be expected to be quicker, until both engines have been measured for
# the architecture.
_EXPECTED_GAIN = 2.0
# How much longer an epoch is expected to take where the program does not know the widths; measured
# were 0.90 to 1.04 times.
_OPEN_OVER_FUSED = 1.05


@dataclass(frozen=True)
class Work:
    """Jobs that one program can train."""

    keys: Keys
    layers: int
    epochs: int  # left to train, of all jobs together
    widths: int  # of the architecture, this one included, that this child has met


class Expected:
    """Seconds by each engine; all None while a loop of such jobs has not been measured."""

    def __init__(
        self,
        speeds: Speeds,
        work: Work,
        at_hand: Mapping[str, bool],
        ages_s: Mapping[str, float | None],
        *,
        can_read: bool,
    ) -> None:
        """`at_hand` says of the engines to compare whether this child has their programs.

        `ages_s`, for how long another child has been tracing one.
        """
        self._speeds, self._work, self._can_read = speeds, work, can_read
        self._ages_s = ages_s
        self.epoch_s = _epochs_s(speeds, work.keys)
        self._once_s = {name: 0.0 if at_hand[name] else self._new_s(name) for name in at_hand}

    def _new_s(self, name: str) -> float:
        work = self._work
        seconds = self._speeds.once_s(work.keys, name, work.layers, can_read=self._can_read)
        age_s = self._ages_s.get(name)
        if age_s is not None and age_s < seconds:
            read_s = self._speeds.once_s(work.keys, name, work.layers, can_read=True)
            return seconds - age_s + min(seconds, read_s)
        is_kept = self._can_read and self._speeds.is_kept(work.keys, name)
        # Who has met many widths will meet more, and one trace serves all.
        return seconds if is_kept or name != OPEN else seconds / work.widths

    def all_s(self, name: str) -> float | None:
        """Until all epochs of the jobs are trained."""
        loop_s = self.epoch_s[LOOP]
        if loop_s is None:
            return None
        epoch_s = self.epoch_s[name]
        if epoch_s is None:
            epoch_s = loop_s / _EXPECTED_GAIN * (_OPEN_OVER_FUSED if name == OPEN else 1.0)
        return self._once_s[name] + epoch_s * self._work.epochs

    def gain_s(self, stack: str) -> float:
        """By how much the stack would be quicker than the loop if it needed no trace."""
        loop_s, stack_s = self.all_s(LOOP), self.all_s(stack)
        if loop_s is None or stack_s is None:
            return 0.0
        return max(0.0, loop_s - self._once_s[LOOP] - (stack_s - self._once_s[stack]))

    def _charged_s(self, name: str) -> float:
        """In all, without what earlier cohorts have lost by not having the program.

        Nobody knows how many cohorts will follow. A trace that is made once they have lost what
        it costs wastes at most that, however few or many there are.
        """
        missed_s = 0.0 if name == LOOP else self._speeds.missed_s(self._work.keys, name)
        return (self.all_s(name) or 0.0) - min(self._once_s[name], missed_s)

    def order(self) -> Sequence[str]:
        """The best first; of equal ones the one that knows the widths."""
        names = [name for name in (FUSED, OPEN, LOOP) if name in self._once_s]
        if self.epoch_s[LOOP] is None:
            stacks = sorted(names[:-1], key=self._once_s.__getitem__)
            return [*stacks, LOOP]
        return sorted(names, key=self._charged_s)

    def text(self, stack: str) -> str:
        """For the row."""
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
    """An epoch of one job by each engine, loop and stack on the same widths where they can be."""
    levels = [{name: speeds.get(key, name) for name in (LOOP, OPEN, FUSED)} for key in keys]
    for known in levels:
        if known[LOOP] is not None and (known[OPEN] or known[FUSED]) is not None:
            return {LOOP: known[LOOP], **_stacks_s(known, is_same_width=known is levels[0])}
    loop_s = next((known[LOOP] for known in levels if known[LOOP] is not None), None)
    measured = (known for known in levels if (known[OPEN] or known[FUSED]) is not None)
    stacks = next(measured, levels[0])
    return {LOOP: loop_s, **_stacks_s(stacks, is_same_width=stacks is levels[0])}


def _stacks_s(known: Mapping[str, float | None], *, is_same_width: bool) -> dict[str, float | None]:
    """Both, as measured on the same widths, or one of them from the other."""
    open_s, fused_s = known[OPEN], known[FUSED]
    if open_s is not None and fused_s is not None and is_same_width:
        return {OPEN: open_s, FUSED: fused_s}
    candidates = [fused_s, None if open_s is None else open_s / _OPEN_OVER_FUSED]
    base_s = min((s for s in candidates if s is not None), default=None)
    return {OPEN: None if base_s is None else base_s * _OPEN_OVER_FUSED, FUSED: base_s}
