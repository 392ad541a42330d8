"""Which way a metric is better: as given, else as the specifications of its jobs tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fitfleet.db.reading import compile_options
from fitfleet.db.session import Database
from fitfleet.errors import FitfleetError
from fitfleet.spec.keras_objects.metric_directions import Direction, agreed, plain_name


def direction_of(
    metric: str, given: Any = None, specs: Iterable[Mapping[str, Any]] = ()
) -> Direction:
    """`given`, or what `specs` tell of the metric (see `spec.directions`).

    A loss is minimized whatever its output is called. FitfleetError for a direction misspelt, and
    where the specifications tell nothing or differ.
    """
    if given is not None:
        if given not in ("minimize", "maximize"):
            raise FitfleetError(f"direction: {given!r:.40} is neither 'minimize' nor 'maximize'")
        return "minimize" if given == "minimize" else "maximize"
    agreed_on = agreed(metric, specs)
    if agreed_on is None:
        raise FitfleetError(
            f"{metric}: it is not known whether higher or lower values are better;"
            " give direction='minimize' or direction='maximize' (--direction)"
        )
    return agreed_on


def compiled_parts(database: Database, metric: str, experiment: str) -> list[dict[str, Any]]:
    """What the jobs of an experiment were compiled with, each once; not read for a plain loss."""
    if plain_name(metric) == "loss":
        return []
    with database.read() as c:
        return compile_options.compiled_parts(c, experiment)


__all__ = ["Direction", "compiled_parts", "direction_of"]
