"""KerasTuner's own forms in a sweep: build functions, HyperModel objects, Objective objects.

KerasTuner is not imported; its objects exist only where their caller has imported it.
"""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fitfleet.errors import SearchError, SpecError
from fitfleet.spec.code.names import SCRIPT
from fitfleet.spec.keras_objects.custom_objects import check_reachable
from fitfleet.spec.keras_objects.object_documents import to_document
from fitfleet.spec.parts.builder_calls import shown_error
from fitfleet.spec.parts.hyperparameters import Asked, HyperParameters
from fitfleet.sweeps.spaces.discovery import MAX_BUILDS, Explorer, Hyperparameter, stepped
from fitfleet.sweeps.spaces.parameters import (
    MAX_OPTIONS,
    Space,
    choice,
    integers,
    log_uniform,
    uniform,
)

_DIRECTIONS = {"min": "minimize", "max": "maximize"}
_OF_HYPERMODEL = ("build", "_build", "name", "tunable")


def accepted(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a sweep with what is KerasTuner's as fitfleet writes it.

    A build function is called for its space, with up to MAX_BUILDS points. SpecError for one that
    raises, or that workers could not find; SearchError for a space that cannot be searched.
    """
    arguments = {**given, **_objective(given.get("objective"))}
    model: Any = given.get("model")
    if _is_build_function(model):
        check_reachable(model, "model")
        arguments["model"] = _document(f"{model.__module__}:{model.__name__}", {}, model)
    elif _is_hypermodel(model):
        kind = type(model)
        check_reachable(kind, "model")
        _check_fit(kind)
        arguments["model"] = _document(
            f"{kind.__module__}:{kind.__name__}", _made_by(model), model.build
        )
    return arguments


def _is_build_function(model: Any) -> bool:
    """Whether it takes one argument that it cannot do without, as `build(hp)` does."""
    if not inspect.isfunction(model):
        return False
    needed = [
        parameter
        for parameter in inspect.signature(model).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    return len(needed) == 1


def _is_hypermodel(model: Any) -> bool:
    """Whether it is an object with `build(hp)` and neither a model nor a class."""
    return (
        not isinstance(model, type)
        and any(base.__name__ == "HyperModel" for base in type(model).__mro__)
        and callable(getattr(model, "build", None))
    )


def _check_fit(kind: type) -> None:
    base = next(b for b in kind.__mro__ if b.__name__ == "HyperModel")
    if getattr(kind, "fit", None) is not getattr(base, "fit", None):
        raise SpecError(
            "model",
            f"{kind.__name__}.fit is not run by workers; leave it out, and give what it passes to"
            " model.fit to the sweep, such as batch_size=ff.choice([32, 64])",
        )


def _made_by(model: Any) -> dict[str, Any]:
    """The arguments that its class makes an equal object of.

    SpecError where they cannot be told from its attributes: a worker must make it again.
    """
    kind = type(model)
    state = _state(model)
    parameters = inspect.signature(kind).parameters.values()
    arguments = {p.name: getattr(model, p.name) for p in parameters if hasattr(model, p.name)}
    try:
        arguments = to_document(arguments, "model.arguments")
        is_equal = _state(kind(**arguments)) == state
    except Exception:  # the user's own code may raise anything
        is_equal = False
    if is_equal is not True:
        raise SpecError(
            "model",
            f"this {kind.__name__} cannot be created again from its attributes; give a function"
            " that makes it, def build(hp): return ...build(hp)",
        )
    return arguments


def _state(model: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(model).items() if name not in _OF_HYPERMODEL}


def _document(
    path: str, arguments: dict[str, Any], build: Callable[[HyperParameters], Any]
) -> dict[str, Any]:
    explorer = _explored(path, build)
    named = _ordered(_names(explorer.hyperparameters()))
    markers = [
        {hyperparameter.asked.name: _space(name, hyperparameter).to_space()}
        for name, hyperparameter in named
    ]
    return {"path": path, "arguments": arguments, "hyperparameters": markers}


def _explored(path: str, build: Callable[[HyperParameters], Any]) -> Explorer:
    shown = path.removeprefix(f"{SCRIPT}:")
    try:
        explorer = Explorer(build)
    except Exception as error:  # the user's own code may raise anything
        raise SpecError("model", f"{shown} raised {shown_error(error)}") from error
    if explorer.changing:
        names = ", ".join(sorted(explorer.changing))
        warnings.warn(
            f"{shown} asks for {names} with different values in different places; those of the"
            " first count, as in KerasTuner, so give each its own name",
            stacklevel=2,
        )
    if not explorer.is_whole:
        warnings.warn(
            f"{shown} was called {MAX_BUILDS} times, and its space was not explored to the end;"
            " hyperparameters that were not found keep their defaults",
            stacklevel=2,
        )
    return explorer


def _names(hyperparameters: Sequence[Hyperparameter]) -> list[tuple[str, Hyperparameter]]:
    """Each with the name of its parameter: hyperparameters of one name and space are one.

    Those of one name and different spaces are told apart by the values of their conditional
    scopes, `mlp.units` and `cnn.units`. SearchError where they are in no scope of their own.
    """
    by_name: dict[str, list[Hyperparameter]] = defaultdict(list)
    for part in hyperparameters:
        by_name[part.asked.name].append(part)
    for name, same in by_name.items():
        if len({_plain_space(part.asked) for part in same}) == 1:
            is_always = any(not part.when for part in same)
            when = () if is_always else tuple(e for part in same for e in part.when)
            by_name[name] = [replace(same[0], when=tuple(dict.fromkeys(when)))]
    named = []
    for part in hyperparameters:
        same = by_name[part.asked.name]
        if len(same) == 1:
            if (part.asked.name, same[0]) not in named:
                named.append((part.asked.name, same[0]))
        else:
            named.append((_scoped_name(part.asked, by_name), part))
    return named


def _ordered(named: Sequence[tuple[str, Hyperparameter]]) -> list[tuple[str, Hyperparameter]]:
    """Each after those that it hangs on, else as they were asked for. SearchError."""
    left, ordered, known = list(named), [], set[str]()
    while left:
        ready = next(
            (part for part in left if all(p in known for e in part[1].when for p, _ in e)), None
        )
        if ready is None:
            raise SearchError(
                f"{left[0][0]!r} depends on a hyperparameter that is defined with different values"
                " in different scopes; give each its own name"
            )
        left.remove(ready)
        ordered.append(ready)
        known.add(ready[0])
    return ordered


def _scoped_name(asked: Asked, by_name: Mapping[str, list[Hyperparameter]]) -> str:
    if not asked.conditions or any(len(by_name[parent]) > 1 for parent, _ in asked.conditions):
        raise SearchError(
            f"{asked.name!r} is defined with different values in different scopes; give each a"
            " name of its own"
        )
    labels = ["|".join(map(str, values)) for _, values in asked.conditions]
    return ".".join([*labels, asked.name])


def _space(name: str, hyperparameter: Hyperparameter) -> Space:
    return replace(_plain_space(hyperparameter.asked), name=name, when=hyperparameter.when)


def _plain_space(asked: Asked) -> Space:
    """The values that KerasTuner would draw from, spread as it would."""
    if asked.options:
        return choice(asked.options)
    values = stepped(asked)
    is_range = asked.kind == "Int" and asked.sampling == "linear"
    if asked.low == asked.high:
        return choice([asked.low])
    if is_range:
        return integers(int(asked.low), int(asked.high), step=int(asked.step or 1))
    if values is not None:
        if len(values) > MAX_OPTIONS:
            raise SearchError(f"{asked.name!r} has {len(values):,} values; give a larger step")
        return choice(values)
    if asked.sampling == "linear":
        return uniform(asked.low, asked.high)
    is_mirrored = asked.sampling == "reverse_log"
    if asked.kind == "Int":
        space = integers(int(asked.low), int(asked.high), log=True)
    else:
        space = log_uniform(asked.low, asked.high)
    return replace(space, is_mirrored=is_mirrored)


def _objective(objective: Any) -> dict[str, Any]:
    """Name and direction of a `keras_tuner.Objective`, or of a list of them."""
    several = objective if isinstance(objective, list | tuple) else [objective]
    if not any(_is_objective(part) for part in several):
        return {}
    if not all(_is_objective(part) for part in several):
        raise SearchError("objective: give names, or objects of keras_tuner.Objective, not both")
    names = [part.name for part in several]
    directions = [_DIRECTIONS[part.direction] for part in several]
    if several is objective:
        return {"objective": names, "direction": directions}
    return {"objective": names[0], "direction": directions[0]}


def _is_objective(value: Any) -> bool:
    return isinstance(getattr(value, "name", None), str) and (
        getattr(value, "direction", None) in _DIRECTIONS
    )
