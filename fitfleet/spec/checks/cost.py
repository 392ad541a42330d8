"""Bounds on what an optimizer or a metric may cost, whatever the model is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fitfleet.errors import SpecError
from fitfleet.settings import Settings
from fitfleet.spec.keras_names import catalog

# Muon matches the paths of weights with these regular expressions; nested repetitions can take
# exponential time, in which the interpreter cannot be interrupted.
_LITERAL = re.compile(r"[\w/ .>^$|-]{0,128}")


def check_optimizer(optimizer: Any, settings: Settings) -> None:
    """Raises SpecError for arguments of an optimizer that are unusable or never finish."""
    config = optimizer.get("config") if isinstance(optimizer, dict) else None
    if not isinstance(config, dict):
        return
    steps = config.get("ns_steps")
    if steps is not None:
        check_iterations(steps, "optimizer.ns_steps", settings)
    texts = config.get("exclude_layers") or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise SpecError("optimizer.exclude_layers", "it is a list of texts")
    for text in texts:
        if not _LITERAL.fullmatch(text):
            raise SpecError(
                "optimizer.exclude_layers",
                f"{text!r:.40} has characters that repeat in a regular expression; give a part of"
                " the layer's name, such as 'output'",
            )


def check_iterations(value: Any, place: str, settings: Settings) -> None:
    """Raises SpecError for iterations that are no positive integer, or above the setting."""
    if type(value) is not int or value < 1:
        raise SpecError(place, f"{value!r:.40} is not a positive integer")
    if value > settings.max_iterations:
        raise SpecError(
            place,
            f"{value:,} is more than the {settings.max_iterations:,} allowed (setting"
            " max_iterations)",
        )


def check_metrics(metrics: Any, place: str, settings: Settings) -> None:
    """Raises SpecError for a metric whose state would have more values than the setting allows."""
    for metric, at in _metrics(metrics, place):
        values = _values(str(metric["class_name"]), metric.get("config") or {}, at)
        if values > settings.max_metric_values:
            raise SpecError(
                at,
                f"it would keep {values:,} values; at most {settings.max_metric_values:,} are"
                " allowed (setting max_metric_values)",
            )


def _metrics(value: Any, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from _metrics(part, f"{place}[{index}]")
    elif isinstance(value, str):
        name = catalog.class_name("metrics", value)
        yield {"module": "keras.metrics", "class_name": name, "config": {}}, place
    elif isinstance(value, dict) and "class_name" in value:
        yield value, place
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _metrics(part, f"{place}.{key}")


def _values(name: str, config: Any, place: str) -> int:
    """A lower bound of the number of values in a metric's state, from its arguments."""
    sizes = {}
    if not isinstance(config, dict):
        return 0
    for argument in ("num_thresholds", "num_classes", "num_labels"):
        size = config.get(argument)
        if size is not None and (type(size) is not int or size < 1):
            raise SpecError(f"{place}.{argument}", f"{size!r:.40} is not a positive integer")
        sizes[argument] = size or 1
    classes = sizes["num_classes"]
    listed = config.get("thresholds")
    thresholds = max(sizes["num_thresholds"], len(listed) if isinstance(listed, list) else 1)
    return max(4 * thresholds * sizes["num_labels"], classes**2 if "IoU" in name else classes)
