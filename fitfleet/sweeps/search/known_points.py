"""Points whose values another program has measured: used by a search, not as results.

They are part of a sweep's design, stand in the table of its trials as imported, and in SQL in the
view `imported_points`. They are no results of the fleet: nothing compares, ranks or exports them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fitfleet.analysis.objective import Objective
from fitfleet.errors import SearchError
from fitfleet.sweeps.search.external_trials import SourceTrial, trials_of
from fitfleet.sweeps.search.names import LEARNING, WHOLE_POINTS
from fitfleet.sweeps.spaces.parameters import Space
from fitfleet.sweeps.spaces.space import Parameter

MAX_IMPORTED = 10_000
_LONGEST = 2_000  # characters of a name or reason
_FIELDS = {"source", "study", "names"}


@dataclass(frozen=True)
class Imported:
    """A trial of another program as a point of this sweep."""

    source: str  # "optuna:<study>" or "keras_tuner:<project>"
    trial: str  # its number there
    point: dict[str, Any]  # of the parameters of this sweep, as far as they fit
    values: tuple[float, ...]  # one an objective
    unused: str | None = None  # why the search does not learn from it; None: it does
    left_out: list[str] = field(default_factory=list)  # what of it did not fit

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> Imported:
        """Of its fields, as the design of a sweep stores them."""
        return cls(**{**document, "values": tuple(document["values"])})


def imported(
    sources: Any, known: Mapping[str, Parameter], wanted: Sequence[Objective], search: str
) -> tuple[Imported, ...]:
    """The points of one source, or of a list of them. SearchError.

    A source is what `external_trials.trials_of` takes, or {"source": it, "study": name of a study
    in a storage, "names": {name there: name here}}.
    """
    several = sources if isinstance(sources, list | tuple) else [sources]
    points = [point for source in several for point in _of_source(source, known, wanted, search)]
    if len(points) > MAX_IMPORTED:
        raise SearchError(
            f"points_from: {len(points):,} trials are more than {MAX_IMPORTED:,}; import the best"
        )
    return tuple(points)


def received(
    documents: Any, known: Mapping[str, Parameter], wanted: Sequence[Objective], search: str
) -> tuple[Imported, ...]:
    """What `imported` has made on another machine, looked at again. SearchError."""
    if not isinstance(documents, list) or len(documents) > MAX_IMPORTED:
        raise SearchError(f"points_from: it is not a list of at most {MAX_IMPORTED:,} points")
    return tuple(_received(document, known, wanted, search) for document in documents)


def _received(
    document: Any, known: Mapping[str, Parameter], wanted: Sequence[Objective], search: str
) -> Imported:
    try:
        point = Imported.of_json(document)
        texts = [point.source, point.trial, *([point.unused] if point.unused else [])]
        texts += point.left_out
        values = tuple(math.nan if value is None else float(value) for value in point.values)
        is_whole = len(values) == len(wanted) and isinstance(point.point, dict)
    except (TypeError, KeyError, ValueError, AttributeError):
        is_whole = False
    if not is_whole or not all(isinstance(text, str) and len(text) <= _LONGEST for text in texts):
        raise SearchError(f"points_from: {document!r:.60} is not a point of another program")
    trial = SourceTrial(point.trial, point.point, values)
    fitted = _fitted(point.source, trial, point.point, known, search)
    return replace(fitted, unused=point.unused or fitted.unused, left_out=list(point.left_out))


def _of_source(
    given: Any, known: Mapping[str, Parameter], wanted: Sequence[Objective], search: str
) -> Iterator[Imported]:
    parts = given if isinstance(given, Mapping) else {"source": given}
    names = parts.get("names") or {}
    if "source" not in parts or set(parts) - _FIELDS or not isinstance(names, Mapping):
        raise SearchError(
            'points_from: a source with names is {"source": study, "study": name in a storage,'
            ' "names": {name there: name here}}'
        )
    for name in names.values():
        if name not in known:
            raise SearchError(
                f"points_from: {name!r} is not a parameter; there are {', '.join(known)}"
            )
    source, trials = trials_of(parts["source"], parts.get("study"), wanted)
    for trial in trials:
        params = {names.get(name, name): value for name, value in trial.params.items()}
        yield _fitted(source, trial, params, known, search)


def _fitted(
    source: str,
    trial: SourceTrial,
    params: Mapping[str, Any],
    known: Mapping[str, Parameter],
    search: str,
) -> Imported:
    point: dict[str, Any] = {}
    left = dict(params)
    outside: list[str] = []
    missing: list[str] = []
    for name, parameter in known.items():
        if not parameter.is_active(point):
            continue
        there = _name_there(name, parameter, left, known)
        if there is None:
            missing.append(name)
            continue
        given = left.pop(there)
        value = _matched(parameter.space, given)
        if value is None:
            outside.append(f"{name}={_shown(given)} is not among its values")
        else:
            point[name] = value[0]
    left_out = [
        f"{name}={_shown(value)}: {'not active here' if name in known else 'no parameter'}"
        for name, value in left.items()
    ]
    left_out += [f"{name}: no value" for name in missing]
    unused = _unused(point, trial.values, outside, missing, search)
    return Imported(source, trial.name, point, _finite(trial.values), unused, left_out)


def _name_there(
    name: str, parameter: Parameter, params: Mapping[str, Any], known: Mapping[str, Parameter]
) -> str | None:
    """Its name in the source. KerasTuner calls `mlp.units` and `cnn.units` both `units`."""
    if name in params:
        return name
    short = name.rpartition(".")[2]
    return short if parameter.space.when and short in params and short not in known else None


def _unused(
    point: Mapping[str, Any],
    values: Sequence[float],
    outside: Sequence[str],
    missing: Sequence[str],
    search: str,
) -> str | None:
    if not all(map(math.isfinite, values)):
        return "it has no value of the objective"
    if outside:
        return "; ".join(outside)
    if not point:
        return "it has none of the parameters"
    if search not in LEARNING:
        return f"a {search} search does not learn"
    if missing and search in WHOLE_POINTS:
        return f"it has no value of {', '.join(missing)}, and {search} needs all"
    return None


def _finite(values: Sequence[float]) -> tuple[Any, ...]:
    """JSON and SQL have no NaN."""
    return tuple(value if math.isfinite(value) else None for value in values)


def _matched(space: Space, value: Any) -> tuple[Any] | None:
    """The value as the space writes it, in a tuple; None where it is not one of its values."""
    if space.kind == "choice":
        for option in space.options:
            if _same(option, value):
                return (option,)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not space.low <= value <= space.high:
        return None
    if space.kind != "integers":
        return (float(value),)
    is_step = value == int(value) and (int(value) - int(space.low)) % space.step == 0
    return (int(value),) if is_step else None


def _same(option: Any, value: Any) -> bool:
    """Equal as JSON, where 1 and 1.0 are, and 1 and True are not."""
    if isinstance(option, bool) or isinstance(value, bool):
        return option is value
    if isinstance(option, float) and isinstance(value, float):
        return math.isclose(option, value, rel_tol=1e-12)
    value = list(value) if isinstance(value, tuple) else value
    return bool(option == value)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."
