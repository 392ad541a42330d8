"""Which engine trains which members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fitfleet.settings import Settings
from fitfleet.worker.engine import Engine, Member
from fitfleet.worker.engine_fit import KerasFit
from fitfleet.worker.engine_loop import LoopFit, unsupported


class Engines:
    """The engines of a child, which keep what they have traced between jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fit = KerasFit(settings)
        self._loop = LoopFit(settings)

    def choose(self, members: Sequence[Member]) -> Iterator[tuple[Engine, Sequence[Member]]]:
        """Groups of members, each with the engine that trains it; members say why."""
        looped: list[Member] = []
        others: list[Member] = []
        for member in members:
            reason = self._refusal(member)
            member.engine_reason = f"fit: {reason}" if reason else "loop: setting engine"
            (others if reason else looped).append(member)
        if looped:
            yield self._loop, looped
        if others:
            yield self._fit, others

    def _refusal(self, member: Member) -> str | None:
        """Why a member is not looped; the loop is not yet equal to fit for every model."""
        if self._settings.engine != "loop":
            return f"setting engine={self._settings.engine}"
        return unsupported(member, self._settings)
