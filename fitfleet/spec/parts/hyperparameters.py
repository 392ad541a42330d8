"""The `hp` of a KerasTuner build function: it returns values, and records its calls.

The methods and their meaning are those of KerasTuner's HyperParameters; KerasTuner is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fitfleet.spec.job import Builder

# (name of a hyperparameter, the values for which its dependents are active)
Condition = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Asked:
    """A hyperparameter that a build function requested; active while all conditions hold.

    `kind` is the method's name, `options` are those of Choice, Boolean and Fixed.
    """

    name: str
    kind: str
    default: Any
    conditions: tuple[Condition, ...] = ()
    options: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    sampling: str = "linear"


class HyperParameters:
    """Returns `values`; the default for a name that is not in them.

    `asked` lists every requested hyperparameter, also those of inactive conditional scopes, which
    are None; `unknown` are the names for which the default was returned.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = dict(values)
        self.asked: list[Asked] = []
        self.unknown: list[str] = []
        self._names: list[str] = []
        self._conditions: list[Condition] = []

    @contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Names requested inside begin with `name/`."""
        self._names.append(name)
        try:
            yield
        finally:
            self._names.pop()

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Hyperparameters requested inside are active while the parent has one of the values."""
        parent = self._full(parent_name)
        if all(asked.name != parent for asked in self.asked):
            raise ValueError(f"the hyperparameter {parent!r} of a conditional_scope is not defined")
        is_list = isinstance(parent_values, Sequence) and not isinstance(parent_values, str)
        self._conditions.append((parent, tuple(parent_values) if is_list else (parent_values,)))
        try:
            yield
        finally:
            self._conditions.pop()

    def Choice(
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """One of the values."""
        options = tuple(values)
        if not options:
            raise ValueError(f"Choice {name!r} has no values")
        if default is not None and default not in options:
            raise ValueError(f"Choice {name!r}: the default {default!r} is not one of its values")
        first = options[0] if default is None and None not in options else default
        return self._answer(name, "Choice", first, parent_name, parent_values, options=options)

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A whole number from min_value to max_value, both included."""
        low, high, wide = _whole(min_value), _whole(max_value), None if not step else _whole(step)
        bounds = _bounds(name, low, high, wide, sampling)
        first = low if default is None else default
        return self._answer(name, "Int", first, parent_name, parent_values, **bounds)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """A number from min_value to max_value."""
        low, high = float(min_value), float(max_value)
        bounds = _bounds(name, low, high, None if not step else float(step), sampling)
        first = low if default is None else default
        return self._answer(name, "Float", first, parent_name, parent_values, **bounds)

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """True or False."""
        options = (True, False)
        return self._answer(name, "Boolean", default, parent_name, parent_values, options=options)

    def Fixed(
        self, name: str, value: Any, parent_name: str | None = None, parent_values: Any = None
    ) -> Any:
        """A constant, which is recorded with the parameters of each trial."""
        return self._answer(name, "Fixed", value, parent_name, parent_values, options=(value,))

    def get(self, name: str) -> Any:
        """The value of an active hyperparameter. Raises ValueError or KeyError for others."""
        full = self._full(name)
        if full in self.values:
            return self.values[full]
        if any(asked.name == full for asked in self.asked):
            raise ValueError(f"the hyperparameter {full!r} is not active")
        raise KeyError(f"there is no hyperparameter {full!r}")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self.values

    def is_active(self, name: str) -> bool:
        """Whether a hyperparameter of that name has a value."""
        return any(asked.name == name and self._holds(asked.conditions) for asked in self.asked)

    def _full(self, name: str) -> str:
        return "/".join([*self._names, str(name)])

    def _holds(self, conditions: Sequence[Condition]) -> bool:
        return all(name in self.values and self.values[name] in v for name, v in conditions)

    def _answer(
        self, name: str, kind: str, default: Any, parent: str | None, values: Any, **more: Any
    ) -> Any:
        if parent is not None:
            with self.conditional_scope(parent, values):
                return self._answer(name, kind, default, None, None, **more)
        conditions = tuple(self._conditions)
        asked = Asked(self._full(name), kind, default, conditions, **more)
        # The first request of a name and scope counts, as in KerasTuner.
        if all((a.name, a.conditions) != (asked.name, conditions) for a in self.asked):
            self.asked.append(asked)
        if not self._holds(conditions):
            return None
        if asked.name not in self.values:
            self.values[asked.name] = default
            self.unknown.append(asked.name)
        return self.values[asked.name]


def build(target: Any, called: Builder) -> tuple[Any, list[str]]:
    """(what a builder returns, the names of hyperparameters without a value).

    A class is a HyperModel of KerasTuner: it is created with the arguments, and its `build` called.
    """
    if called.hyperparameters is None:
        return target(**called.arguments), []
    hp = HyperParameters(called.hyperparameters)
    if isinstance(target, type):
        return target(**called.arguments).build(hp), hp.unknown
    return target(hp, **called.arguments), hp.unknown


def _whole(value: Any) -> int:
    if int(value) != value:
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _bounds(
    name: str, low: float, high: float, step: float | None, sampling: str | None
) -> dict[str, Any]:
    kind = (sampling or "linear").lower()
    if kind not in ("linear", "log", "reverse_log"):
        raise ValueError(f"{name!r}: sampling {sampling!r} is not one of linear, log, reverse_log")
    if low > high:
        raise ValueError(f"{name!r}: min_value {low} is above max_value {high}")
    if kind != "linear" and low <= 0:
        raise ValueError(f"{name!r}: with sampling={kind!r} min_value is positive, not {low}")
    if step is not None and step <= (0 if kind == "linear" else 1):
        raise ValueError(f"{name!r}: the step {step} is too small for sampling={kind!r}")
    return {"low": low, "high": high, "step": step, "sampling": kind}
