"""Default names of losses, metrics and optimizers, which Keras numbers, as in a new process.

Keras counts the objects of a class in a process: the third MyMetric of a notebook is `my_metric_2`.
A name is part of a job, and that of a metric the key of its values.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from typing import Any

from fitfleet.spec.keras_objects.object_documents import is_custom, snake_case


def recount(document: dict[str, Any], counts: Counter[str]) -> None:
    """Write into a serialised custom object the default name that it would get in a new process,
    after those in `counts`. A name that its class or the user has chosen stays.
    """
    config = document.get("config")
    prefix = counted_prefix(document)
    if (
        prefix is None
        or not isinstance(config, dict)
        or not _is_counted(config.get("name"), prefix)
    ):
        return
    config["name"] = f"{prefix}_{counts[prefix]}" if counts[prefix] else prefix
    counts[prefix] += 1


def counted_prefix(document: Any) -> str | None:
    """The prefix of Keras's default names for a custom class; None if the class names its objects.

    Only for a class of this process: in a document from a file the name counts as chosen.
    """
    if not isinstance(document, dict) or not is_custom(document):
        return None
    name = document.get("class_name")
    kind = getattr(sys.modules.get(str(document.get("module"))), str(name), None)
    if not isinstance(kind, type):
        return None
    named = inspect.signature(kind).parameters.get("name")
    return None if named is not None and isinstance(named.default, str) else snake_case(str(name))


def _is_counted(name: Any, prefix: str) -> bool:
    return isinstance(name, str) and re.fullmatch(rf"{re.escape(prefix)}(_\d+)?", name) is not None
