"""Bounds of the arguments of a sweep: repeats, folds, pruners, names and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fitfleet.errors import SearchError
from fitfleet.text import DURATIONS, duration_s

PRUNERS = ("median", "percentile", "successive_halving", "hyperband", "wilcoxon")
FOLD_KINDS = ("kfold", "stratified", "group", "timeseries")
MAX_POINTS = 100_000
MAX_REPEATS = 1_000
_TEXT_OPTIONS = ("name", "min_resource", "max_resource")  # of a pruner, that may be "auto"


def repeats_of(value: Any) -> tuple[int, int]:
    """(minimum, maximum) from 3 or "3..10". Raises SearchError."""
    if value is None:
        return 1, 1
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_REPEATS:
        return value, value
    race = re.fullmatch(r"(\d{1,6})\s*\.\.\s*(\d{1,6})", value) if _is_text(value) else None
    if race and 2 <= int(race[1]) <= int(race[2]) <= MAX_REPEATS:
        return int(race[1]), int(race[2])
    raise SearchError(
        f"repeats: {value!r:.40} is not a number of repeats from 1 to {MAX_REPEATS:,}, such as 3,"
        " nor a race such as '3..10' that starts with at least 2"
    )


def folds_of(value: Any) -> dict[str, Any] | None:
    """{"kind", "k"} from a number of folds or such a mapping. Raises SearchError."""
    if value is None:
        return None
    fields = value if isinstance(value, Mapping) else {"k": value}
    folds = {"kind": "kfold", **fields}
    is_k = isinstance(folds.get("k"), int) and not isinstance(folds.get("k"), bool)
    if set(folds) != {"kind", "k"} or folds["kind"] not in FOLD_KINDS or not is_k:
        raise SearchError(
            f"folds: {value!r:.60} is neither a number nor {{'kind': ..., 'k': ...}} with a kind of"
            f" {', '.join(FOLD_KINDS)}"
        )
    if not 2 <= folds["k"] <= MAX_REPEATS:
        raise SearchError(
            f"folds: k={folds['k']!r:.40} is not a number of folds from 2 to {MAX_REPEATS:,}"
        )
    return folds


def pruner_of(value: Any) -> dict[str, Any] | None:
    """{"name", options of Optuna's pruner} from a name or such a mapping. Raises SearchError."""
    if value is None:
        return None
    pruner = dict(value) if isinstance(value, Mapping) else {"name": value}
    name = str(pruner.get("name")).replace("-", "_")
    if name not in PRUNERS:
        raise SearchError(
            f"pruner: {value!r:.60} is not one of {', '.join(PRUNERS)}; give options as in"
            " {'name': 'median', 'n_startup_trials': 8}"
        )
    pruner["name"] = name
    for option, setting in pruner.items():
        is_number = isinstance(setting, int | float) and abs(setting) <= MAX_POINTS
        if not _is_text(option) or not (is_number or setting is None or option in _TEXT_OPTIONS):
            raise SearchError(f"pruner: {option!r:.40} is {setting!r:.40}, which is not a number")
    return pruner


def check_seed(seed: Any, spaces: Mapping[str, Any], max_repeats: int) -> None:
    """Refuse a seed that repeats cannot count up from. Raises SearchError."""
    if "seed" in spaces and max_repeats > 1:
        raise SearchError(
            "seed: it is searched, and repeats vary it too; search the seed with repeats=1, or"
            " give one seed that the repeats count up from"
        )
    is_seed = isinstance(seed, int) and not isinstance(seed, bool)
    if "seed" not in spaces and not (is_seed and 0 <= seed < 2**63 - MAX_REPEATS):
        raise SearchError(
            f"seed: {seed!r:.40} is not a whole number from 0 to below 2**63; repeats=n takes the n"
            " seeds that follow it"
        )


def check_positive(name: str, value: Any) -> None:
    """Raises SearchError unless it is an integer from 1 to MAX_POINTS."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_POINTS:
        raise SearchError(f"{name}: {value!r:.40} is not a number from 1 to {MAX_POINTS:,}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def name_of(name: str, value: Any) -> str:
    """A short printable text. Raises SearchError."""
    if isinstance(value, str) and 1 <= len(value) <= 128 and value.isprintable():
        return value
    raise SearchError(f"{name}: {value!r:.60} is not a name of 1 to 128 printable characters")


def budget_of(value: Any) -> float | None:
    """Seconds that a sweep may take; None: as long as it takes."""
    if value is None:
        return None
    seconds = duration_s(value)
    if seconds is None:
        raise SearchError(f"budget: {value!r:.60} is not a duration; give {DURATIONS}")
    return seconds
