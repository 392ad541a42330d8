"""Finding the space of a KerasTuner build function, by calling it with different values.

KerasTuner learns of a hyperparameter when a trial first asks for it. A sweep has its space before
its first trial, so the function is called with its defaults, then with each value that may lead to
other questions: all options of a Choice, the ends of an Int and, where these differ, all between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitfleet.spec.parts.hyperparameters import Asked, HyperParameters

MAX_BUILDS = 200
# Of more values only some are tried; what only some of these ask for is then always active.
_MAX_VALUES = 32

Values = dict[str, Any]
Key = tuple[str, Any]  # name and conditions
Entry = tuple[tuple[str, tuple[Any, ...]], ...]  # names, each with the values that it needs


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter, and when it is active: for one of the entries, by all of its pairs."""

    asked: Asked
    when: tuple[Entry, ...]


@dataclass
class _Family:
    """Builds that differ in one value only."""

    name: str
    base: Any  # the value that the others differ from
    keys: dict[Any, set[Key]]  # value -> what was asked for
    is_whole: bool = True  # whether every value was tried

    def values_of(self, key: Key) -> tuple[Any, ...]:
        return tuple(value for value, keys in self.keys.items() if key in keys)


class Explorer:
    """Calls a build function until no value tried leads to a hyperparameter that is not known."""

    def __init__(self, build: Callable[[HyperParameters], Any]) -> None:
        self._build = build
        self._calls: dict[str, set[Key]] = {}  # by the values given
        self._families: list[_Family] = []
        self._asked: dict[Key, Asked] = {}
        self._queue: list[tuple[Asked, Values]] = []
        self.changing: set[str] = set()  # names asked for with one space, then with another
        self._always = self._ask({})
        while self._queue:
            asked, given = self._queue.pop(0)
            given |= {name: values[0] for name, values in asked.conditions if values}
            if len(self._calls) < MAX_BUILDS:
                self._ask(given)
            if asked.kind in ("Choice", "Boolean", "Int"):
                self._vary(asked, given)

    @property
    def is_whole(self) -> bool:
        """Whether everything was tried; false for a space that is too large."""
        return len(self._calls) < MAX_BUILDS

    def hyperparameters(self) -> list[Hyperparameter]:
        """All hyperparameters, each after those that it hangs on."""
        return [Hyperparameter(asked, self._when(key)) for key, asked in self._asked.items()]

    def _vary(self, asked: Asked, given: Values) -> None:
        """Try values of one hyperparameter, all else as it was when it was found."""
        base = given.get(asked.name, asked.default)
        family = _Family(asked.name, base, {base: self._ask(given)})
        values = list(asked.options) or [asked.low, asked.high]
        self._try(family, given, values)
        if asked.kind == "Int":
            every = _numbers(asked)
            is_leading = len({frozenset(keys) for keys in family.keys.values()}) > 1
            family.is_whole &= len(every) <= _MAX_VALUES
            if is_leading and family.is_whole:
                self._try(family, given, every)
        self._families.append(family)

    def _try(self, family: _Family, given: Values, values: Sequence[Any]) -> None:
        for value in values[:_MAX_VALUES]:
            if value not in family.keys and len(self._calls) < MAX_BUILDS:
                family.keys[value] = self._ask({**given, family.name: value})
        family.is_whole &= all(value in family.keys for value in values)

    def _ask(self, given: Values) -> set[Key]:
        """The hyperparameters that the function requests; it is called once for the same values."""
        text = repr(sorted(given.items()))
        if text not in self._calls:
            hp = HyperParameters(given)
            self._build(hp)
            self._calls[text] = {(asked.name, asked.conditions) for asked in hp.asked}
            for asked in hp.asked:
                key = asked.name, asked.conditions
                if key not in self._asked:
                    self._asked[key] = asked
                    self._queue.append((asked, dict(given)))
                elif self._asked[key] != asked:
                    self.changing.add(asked.name)
        return self._calls[text]

    def _when(self, key: Key) -> tuple[Entry, ...]:
        """From its conditional scopes, and from the values with which it was asked for at all."""
        needed = dict(self._asked[key].conditions)
        alternatives: list[dict[str, tuple[Any, ...]]] = []
        for family in self._families:
            values = family.values_of(key)
            if not 0 < len(values) < len(family.keys) or family.name == key[0]:
                continue
            is_reached = family.base not in values
            if is_reached and key not in self._always:
                alternatives.append({family.name: values} if family.is_whole else {})
            elif not is_reached and family.is_whole:
                needed = _both(needed, {family.name: values})
        entries = [_both(needed, alternative) for alternative in alternatives or [{}]]
        return tuple(tuple(entry.items()) for entry in entries) if all(entries) else ()


def _both(
    first: Mapping[str, tuple[Any, ...]], second: Mapping[str, tuple[Any, ...]]
) -> dict[str, tuple[Any, ...]]:
    """The conditions of both; of a name in both, the values in both."""
    merged = dict(first)
    for name, values in second.items():
        merged[name] = tuple(v for v in merged.get(name, values) if v in values)
    return merged


def _numbers(asked: Asked) -> Sequence[Any]:
    """The values of an Int."""
    values = stepped(asked)
    return range(int(asked.low), int(asked.high) + 1) if values is None else values


def stepped(asked: Asked) -> list[Any] | None:
    """The values of a number with a step, by KerasTuner's own formula; None without a step."""
    low, high, step = asked.low, asked.high, asked.step
    if step is None:
        return None
    if asked.sampling == "linear":
        values = [low + i * step for i in range(int((high - low) // step + 1))]
    else:
        count = int(math.log(high / low, step) + 1e-8) + 1
        values = [low * math.pow(step, i) for i in range(count)]
        if asked.sampling == "reverse_log":
            values = [high + low - value for value in values]
    return [int(value) for value in values] if asked.kind == "Int" else values
