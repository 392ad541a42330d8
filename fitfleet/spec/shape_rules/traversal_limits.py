"""Counters of a traversal of a model, compared with the limits of the settings.

Without them a model of a few kilobytes could cause hours of computing here, or exceed the memory of
a worker: nested models multiply the calls of their layers, repeats and paddings their values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.shape_rules.shapes import Outcome, Shape


@dataclass
class Walk:
    """The limits and counters of one check, and the outcomes of nested models so far.

    `is_guess`: the shape of the input is assumed, so windows need not fit into it.
    """

    settings: Settings
    is_guess: bool = False
    calls: int = 0
    known: dict[Any, Any] = field(default_factory=dict)

    def begin_call(self) -> None:
        """Count a call of a layer. Raises SpecError above the limit."""
        self.calls += 1
        self.check_calls(self.calls)

    def check_calls(self, calls: int) -> None:
        """Raises SpecError if a model has more calls of layers than the setting allows."""
        if calls > self.settings.max_calls:
            raise SpecError(
                "model",
                f"its layers are called more than {self.settings.max_calls:,} times, counting each"
                " call of a nested model in full (setting max_calls)",
            )

    def check_outcome(self, outcome: Outcome, place: str) -> None:
        """Raises SpecError for outputs, or a graph, larger than the settings allow."""
        for shape in outcome.shapes:
            values = _values(shape)
            if values > self.settings.max_row_values:
                raise SpecError(
                    place,
                    f"outputs {values:,} values for each row; at most"
                    f" {self.settings.max_row_values:,} are allowed (setting max_row_values)",
                )
        if outcome.cells is None:
            raise SpecError(f"{place}.unroll", "it needs an input whose number of steps is known")
        if outcome.cells > self.settings.max_unrolled_cells:
            raise SpecError(
                f"{place}.unroll",
                f"it would unroll {outcome.cells:,} cells (steps times cells); at most"
                f" {self.settings.max_unrolled_cells} are allowed (setting max_unrolled_cells)",
            )


def _values(shape: Shape | None) -> int:
    """The minimum number of values of a row; dimensions of any size count as one."""
    return prod(1 if size is None else size for size in shape or ())
