"""Which functions and classes of the user a specification names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fitfleet.spec.job import JobSpec
from fitfleet.spec.keras_objects.object_documents import is_custom

SCRIPT = "__main__"


@dataclass(frozen=True, order=True)
class Named:
    """A function or class of a module; `registered` is the name that Keras looks it up by."""

    module: str
    name: str
    registered: str = ""


def named(spec: JobSpec) -> list[Named]:
    """The functions and classes outside Keras that a specification names, sorted, unique."""
    parts = [spec.model.config, spec.optimizer, spec.loss, spec.metrics, spec.weighted_metrics]
    names = set(named_in([*parts, spec.callbacks]))
    paths = [evaluator.path for evaluator in spec.evaluators]
    functions = (spec.model.builder, spec.dataset.function)
    paths += [function.path for function in functions if function is not None]
    names |= {Named(*_split(path)) for path in paths}
    return sorted(names)


def named_in(node: Any) -> Iterator[Named]:
    """The same for a part of a document."""
    if isinstance(node, list | tuple):
        for part in node:
            yield from named_in(part)
    elif isinstance(node, dict):
        if "class_name" in node and is_custom(node) and isinstance(node.get("module"), str):
            yield _of(node)
        for part in node.values():
            yield from named_in(part)


def _of(node: dict[str, Any]) -> Named:
    name = node["class_name"]
    if name == "function":
        name = node.get("config")
    registered = node.get("registered_name") or name
    return Named(node["module"], str(name).rpartition(">")[2], str(registered))


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.partition(":")
    return module, name
