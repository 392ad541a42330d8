"""Sweep files: YAML or JSON whose keys are the arguments of `Fleet.sweep`.

A space is written as `{choice: [16, 32]}`, `{uniform: [0, 0.5]}`, `{log_uniform: [1e-4, 1e-2]}`
or `{integers: [1, 4]}`; further arguments by name, as in `{integers: {low: 1, high: 9, step: 2}}`.
A layer stands several times in a row as `{repeat: [{Dense: {units: 8}}, {integers: [1, 4]}]}`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fitfleet.cli.job_file import read
from fitfleet.errors import SearchError, SpecError
from fitfleet.sweeps.spaces.space import choice, find, integers, log_uniform, repeat, uniform

if TYPE_CHECKING:
    from fitfleet.client.fleet import Fleet
    from fitfleet.client.sweep import Sweep

_MAKERS: dict[str, Callable[..., Any]] = {
    "choice": choice,
    "uniform": uniform,
    "log_uniform": log_uniform,
    "integers": integers,
    "repeat": repeat,
}
# Keys that only a sweep has.
_OWN = ("search", "trials", "repeats", "folds", "pruner", "objective", "points_from")


def read_sweep(path: Path) -> dict[str, Any]:
    """The arguments of `Fleet.sweep` in a file. SpecError if the file is none."""
    document = read(path)
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise SpecError(str(path), "a sweep is a mapping with `model`, `dataset`, `search`, ...")
    opened = spaces_opened(document)
    assert isinstance(opened, dict)
    return opened


def sweep_of(fleet: Fleet, arguments: dict[str, Any]) -> Sweep:
    """The sweep of a file's arguments. SearchError, SpecError or DatasetError."""
    rest = {name: value for name, value in arguments.items() if name != "points_from"}
    return fleet.untrusted_sweep(rest, points_from=arguments.get("points_from"))


def is_sweep(path: Path) -> bool:
    """Whether the file describes a sweep rather than jobs. SpecError if it cannot be read."""
    document = read(path)
    if not isinstance(document, dict) or "jobs" in document:
        return False
    return any(key in document for key in _OWN) or bool(find(spaces_opened(document)))


def spaces_opened(value: Any, place: str = "") -> Any:
    """The document with its written spaces as Space objects. SearchError for a bad one."""
    if isinstance(value, list):
        return [spaces_opened(part, f"{place}[{i}]") for i, part in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((name, given),) = value.items()
        if name in _MAKERS and isinstance(given, list | dict):
            return _space(str(name), given, place)
    return {key: spaces_opened(part, f"{place}.{key}".lstrip(".")) for key, part in value.items()}


def _space(name: str, given: Any, place: str) -> Any:
    given = spaces_opened(given, place)
    try:
        if isinstance(given, dict):
            return _MAKERS[name](**given)
        return choice(given) if name == "choice" else _MAKERS[name](*given)
    except TypeError as error:
        raise SearchError(f"{place}: {name} {given!r:.60}: {error}") from None
