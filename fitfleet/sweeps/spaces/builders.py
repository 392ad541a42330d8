"""Builders in the document of a design."""

from __future__ import annotations

from typing import Any

from fitfleet.spec.job import Builder
from fitfleet.sweeps.spaces import space


def is_builder(model: Any) -> bool:
    """Whether it is a builder as a design stores it."""
    fields = set(model) if isinstance(model, dict) else set()
    return fields in ({"path", "arguments"}, {"path", "arguments", "hyperparameters"})


def builder(document: dict[str, Any]) -> Builder:
    """The builder of a point.

    Its hyperparameters stand in a list of mappings of one each: stored JSON objects keep no order.
    """
    parts = document.get("hyperparameters")
    values = None if parts is None else {n: v for part in parts for n, v in part.items()}
    return Builder(path=document["path"], arguments=document["arguments"], hyperparameters=values)


def names_builder(model: Any) -> bool:
    """Text that is no JSON names a function or a file; a space may offer either."""
    if isinstance(model, str):
        return not model.lstrip().startswith("{")
    if not isinstance(model, dict):
        return False
    searched = space.from_space(model)
    if searched is not None:
        return any(names_builder(option) for option in searched.options or ())
    return bool({"path", "builder"} & set(model)) and "config" not in model
