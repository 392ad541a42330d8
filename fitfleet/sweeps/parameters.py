"""Search spaces: one value each, to be chosen. A space travels as JSON with the mark "$space"."""

from __future__ import annotations

import functools
import math
import random as random_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.errors import SearchError

MARK = "$space"


@dataclass(frozen=True)
class Space:
    """One value to be chosen. `kind` is choice, uniform, log_uniform or integers.

    Spaces with one `name` are one parameter.
    """

    kind: str
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: int = 1
    is_log: bool = False
    name: str | None = None

    def to_space(self) -> dict[str, Any]:
        """The JSON form; the same dict each time, so that one space stays one parameter."""
        return self._marker

    @functools.cached_property
    def _marker(self) -> dict[str, Any]:
        document: dict[str, Any] = {MARK: self.kind}
        if self.kind == "choice":
            document["options"] = [jsonable(option) for option in self.options]
        else:
            document |= {"low": self.low, "high": self.high}
        if self.kind == "integers":
            document |= {"step": self.step, "log": self.is_log}
        if self.name is not None:
            document["name"] = self.name
        return document

    @property
    def is_logarithmic(self) -> bool:
        """Whether its logarithm is what is evenly spread."""
        return self.is_log or self.kind == "log_uniform"

    @property
    def first(self) -> Any:
        """One of its values, always the same."""
        if self.kind == "choice":
            return self.options[0]
        return int(self.low) if self.kind == "integers" else self.low

    def points(self, name: str = "") -> Sequence[Any]:
        """All values of a grid. SearchError for a space that is continuous."""
        if self.kind == "choice":
            return self.options
        if self.kind == "integers" and not self.is_log:
            return range(int(self.low), int(self.high) + 1, self.step)
        raise SearchError(
            f"{name}: {self.kind} has no grid; list values with choice, or use search='random'"
        )

    def draw(self, source: random_module.Random) -> Any:
        """One value at random."""
        if self.kind == "uniform":
            return source.uniform(self.low, self.high)
        if self.kind == "choice" or not self.is_logarithmic:
            return source.choice(self.points())
        value = math.exp(source.uniform(math.log(self.low), math.log(self.high)))
        value = min(max(value, self.low), self.high)
        return round(value) if self.kind == "integers" else value


def jsonable(value: Any) -> Any:
    """An option as JSON: layers and such by their documents, NumPy numbers as numbers."""
    if hasattr(value, "to_layer"):
        return value.to_layer()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, tuple):
        return list(value)
    return value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value


def choice(options: Sequence[Any], *, name: str | None = None) -> Space:
    """One of the options. SearchError if there are none."""
    if isinstance(options, str | Mapping) or not hasattr(options, "__iter__"):
        raise SearchError(f"choice: {options!r} is not a list of options")
    values = tuple(options)
    if not values:
        raise SearchError("choice: it has no options; give at least one")
    return Space("choice", options=values, name=name)


def uniform(low: float, high: float, *, name: str | None = None) -> Space:
    """A number from low to high. SearchError for bounds that are not a range."""
    return _bounded("uniform", low, high, name)


def log_uniform(low: float, high: float, *, name: str | None = None) -> Space:
    """A positive number from low to high, its logarithm evenly spread."""
    space = _bounded("log_uniform", low, high, name)
    if low <= 0:
        raise SearchError(f"log_uniform: the lower bound {low!r} is not positive")
    return space


def integers(
    low: int, high: int, *, step: int = 1, log: bool = False, name: str | None = None
) -> Space:
    """A whole number from low to high, both included, in steps, or its logarithm evenly spread."""
    _bounded("integers", low, high, name)
    for value in (low, high, step):
        if isinstance(value, bool) or value != int(value):
            raise SearchError(f"integers: {value!r} is not a whole number")
    if step < 1:
        raise SearchError(f"integers: the step {step!r} is not positive")
    if log and (step != 1 or low < 1):
        raise SearchError(f"integers: with log=True low is at least 1 and step is 1, not {step}")
    return Space("integers", low=int(low), high=int(high), step=int(step), is_log=log, name=name)


def _bounded(kind: str, low: float, high: float, name: str | None) -> Space:
    for value in (low, high):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise SearchError(f"{kind}: {value!r} is not a number")
    if not low < high:
        raise SearchError(f"{kind}: {low!r} to {high!r} is not a range; give low < high")
    return Space(kind, low=low, high=high, name=name)


def from_space(document: Any) -> Space | None:
    """The space that a JSON form stands for; None for any other value. SearchError if it is bad."""
    if isinstance(document, Space):
        return document
    if not isinstance(document, dict) or MARK not in document:
        return None
    kind, name = document[MARK], document.get("name")
    makers = {"uniform": uniform, "log_uniform": log_uniform}
    try:
        if kind == "choice":
            return choice(document["options"], name=name)
        if kind == "integers":
            step, log = document.get("step", 1), bool(document.get("log", False))
            return integers(document["low"], document["high"], step=step, log=log, name=name)
        if kind in makers:
            return makers[kind](document["low"], document["high"], name=name)
    except KeyError as error:
        raise SearchError(f"a space of kind {kind} lacks {error}") from None
    known = "choice, uniform, log_uniform, integers"
    raise SearchError(f"{kind!r} is no kind of space; known are {known}")
