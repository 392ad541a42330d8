"""What a traversal of a model has counted so far, compared with the limits of the settings.

Without it a model of a few kilobytes could cause hours of work here, or for more memory than a
worker has: nested models multiply the calls of their layers, repeats and paddings their values.
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
    """The bounds of one check, what it has done, and the nested models it knows already.

    `is_guess` says that the shape of the input is made up, so that windows need not fit into it.
    """

    settings: Settings
    is_guess: bool = False
    calls: int = 0
    known: dict[Any, Any] = field(default_factory=dict)

    def begin_call(self) -> None:
        """Counts a call of a layer that is looked at. Raises SpecError above the bound."""
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
    """At least how many values one row has; free dimensions count as one."""
    return prod(1 if size is None else size for size in shape or ())
