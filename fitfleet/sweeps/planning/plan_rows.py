"""What a plan prints: a row for each point, the counts, and why points are refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.columns import named, param_columns
from fitfleet.sweeps.spaces.space import Point
from fitfleet.text import html_table, printable_lines

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20


@dataclass(frozen=True)
class Planned:
    """One point of the plan."""

    point: Point
    new: int  # jobs to be queued
    reused: int  # jobs that are there already, finished or not
    parameters: int | None  # number of weights
    memory_bytes: int | None  # of the fit, without TensorFlow's own and without the data
    # Of a worker's process that ran its like, or as predicted by its architecture; None: not known
    peak_bytes: int | None
    seconds: float | None  # of one job; None: nothing like it has been run
    refused: str | None = None


@dataclass(frozen=True)
class Plan:
    """All points of a sweep; of a search that learns, a sample of its space."""

    points: list[Planned]
    is_sample: bool
    is_built: bool  # by Keras; else only the static check was made
    warnings: list[str]
    noun: str = "point"  # what a row is called; "job" for the plan of a job file

    @property
    def jobs(self) -> int:
        """Jobs that would be queued."""
        return sum(point.new for point in self.points)

    @property
    def seconds(self) -> float | None:
        """Time of all new jobs, one after another; None if some of it is not known."""
        open_points = [p for p in self.points if p.new]
        if any(p.seconds is None for p in open_points):
            return None
        return sum(p.new * (p.seconds or 0.0) for p in open_points)

    def to_pandas(self) -> pd.DataFrame:
        """A row a point."""
        import pandas as pd

        after_params = list(_columns(self.points[0])) if self.points else []
        names = dict.fromkeys(name for p in self.points for name in p.point)
        columns = param_columns(names, after_params)
        rows = [{**named(p.point, columns), **_columns(p)} for p in self.points]
        return pd.DataFrame(rows, columns=[*columns.values(), *after_params])

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        return {
            "jobs": self.jobs,
            "seconds": self.seconds,
            "is_sample": self.is_sample,
            "is_built": self.is_built,
            "warnings": self.warnings,
            "points": [asdict(point) for point in self.points],
        }

    def summary(self) -> list[str]:
        """The plan in a few sentences."""
        refused = [p for p in self.points if p.refused]
        known = sum(p.reused for p in self.points)
        kind = "example " if self.is_sample else ""
        others = "; the search will choose others" if self.is_sample else ""
        counts = [f"{_count(self.jobs, 'job')} to run"]
        counts += [f"{known} already submitted"] if known else []
        counts += [f"{_count(len(refused), self.noun)} refused"] if refused else []
        lines = [
            f"{_count(len(self.points), f'{kind}{self.noun}')}: {', '.join(counts)}{others}",
            "checked by building each model in Keras"
            if self.is_built
            else "checked without building the models: Keras is not installed here",
        ]
        if any(p.memory_bytes for p in self.points):
            lines.append("memory_mib: estimated memory of the fit, excluding TensorFlow and data")
        if self.seconds is not None and self.jobs:
            lines.append(f"time: about {self.seconds:,.0f} s of fits, divided by your workers")
        elif self.jobs:
            lines.append("time: no similar finished job to estimate from")
        return [*lines, *self._refusals(), *(f"warning: {line}" for line in self.warnings)]

    def _refusals(self) -> list[str]:
        """Each reason once, with the first point that was refused for it."""
        refused = defaultdict(list)
        for p in self.points:
            if p.refused:
                refused[p.refused].append(p.point)
        return [f"refused {self._which(points)}: {why}" for why, points in refused.items()][:5]

    def _which(self, points: Sequence[Point]) -> str:
        if len(points) == 1:
            return str(points[0])
        is_each = len(points) == len(self.points)
        return f"every {self.noun}" if is_each else f"{points[0]} and {len(points) - 1:,} more"

    def _below(self) -> list[str]:
        more = len(self.points) - _SHOWN
        return [*([f"... and {more} more"] if more > 0 else []), *self.summary()]

    def _repr_html_(self) -> str:
        table = self.to_pandas().head(_SHOWN)
        lines = [
            ["" if v is None or v != v else v for v in t] for t in table.itertuples(index=False)
        ]
        return html_table(list(table.columns), lines, note="\n".join(self._below()))

    def __str__(self) -> str:
        shown = self.to_pandas().head(_SHOWN).to_string(index=False, na_rep="")
        return printable_lines("\n".join([shown, *self._below()]))


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _columns(p: Planned) -> dict[str, Any]:
    return {
        "new": p.new,
        "reused": p.reused,
        "parameters": p.parameters,
        "memory_mib": _mebibytes(p.memory_bytes),
        "peak_mib": _mebibytes(p.peak_bytes),
        "seconds": p.seconds,
        "refused": p.refused,
    }


def _mebibytes(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / 2**20, 1)
