"""Names of losses, metrics and optimizers that Keras made up by counting, as in a fresh process.

Keras counts the objects of a class that a process has made: the third MyMetric of a notebook is
`my_metric_2`. A name is part of a job, and that of a metric the key of its values.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from typing import Any

from fitfleet.spec.keras_objects.object_documents import is_custom, snake_case


def recount(document: dict[str, Any], counts: Counter[str]) -> None:
    """Give a serialised object of the user's own class, in place, the name that a fresh process
    would give it after those that `counts` has. A name that its class or the user chose stays.
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
    """What Keras calls the objects of such a class, by counting; None where the class names them.

    Only of a class that this process has: a document of a file says what it is to be called.
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
