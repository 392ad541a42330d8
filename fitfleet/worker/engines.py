"""Which engine trains which members."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fitfleet.settings import Settings
from fitfleet.worker.engine import Engine, Member
from fitfleet.worker.engine_fit import KerasFit


class Engines:
    """The engines of a child, which keep what they have traced between jobs."""

    def __init__(self, settings: Settings) -> None:
        self._fit = KerasFit(settings)

    def choose(self, members: Sequence[Member]) -> Iterator[tuple[Engine, Sequence[Member]]]:
        """Groups of members, each with the engine that trains it."""
        if members:
            yield self._fit, members
