"""Folds of a cross-validation, by scikit-learn (the extra `search`)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from fitfleet.data.formats.source import Array
from fitfleet.data.info import DatasetInfo, flatten
from fitfleet.data.rows.rows import Arrays, split_rows
from fitfleet.data.rows.streams import Stream
from fitfleet.errors import DatasetError, MissingExtraError
from fitfleet.spec.keywords import is_integer

KINDS = ("kfold", "stratified", "group", "timeseries")


def split_fold(arrays: Arrays, fold: dict[str, Any]) -> Arrays:
    """One fold; its held-out rows become the validation rows.

    `fold` is {"kind": one of KINDS, "k", "index", "seed"}; the default seed is 0. `group` keeps
    rows with an equal label in `Dataset(groups=...)` together; `timeseries` trains on the part
    before the held-out one. Raises DatasetError, MissingExtraError.
    """
    kind, k, index, seed = check_fold(fold, arrays.rows, arrays.groups is not None)
    labels = _classes(arrays) if kind == "stratified" else None
    groups = arrays.groups if kind == "group" else None  # scikit-learn warns of unused ones
    splitter = _splitter(kind, k, seed)
    try:
        # Only this fold: all of them together would be k times the rows.
        parts = splitter.split(np.zeros(arrays.rows), labels, groups)
        train, held_out = next(islice(parts, index, None))
    except ValueError as error:
        raise DatasetError(f"dataset.fold: {kind} with k={k}: {error}") from None
    return split_rows(arrays, train, held_out)


def check_fold(
    fold: dict[str, Any], rows: int, has_groups: bool, max_folds: int | None = None
) -> tuple[str, int, int, int]:
    """(kind, k, index, seed) of a fold. Raises DatasetError for one that these rows cannot have.

    `max_folds` is the setting: a fold takes longer to compute the larger its index is.
    """
    kind, k, index = fold.get("kind", "kfold"), fold.get("k"), fold.get("index")
    seed = fold.get("seed", 0)
    if kind not in KINDS:
        raise DatasetError(f"dataset.fold.kind: {kind!r:.40} is not one of {', '.join(KINDS)}")
    if not is_integer(k) or not 2 <= k <= rows:
        raise DatasetError(
            f"dataset.fold.k: {k!r:.40} is not a number of folds from 2 to {rows} rows"
        )
    if not is_integer(index) or not 0 <= index < k:
        raise DatasetError(f"dataset.fold.index: {index!r:.40} is not a fold from 0 to {k - 1}")
    if kind == "group" and not has_groups:
        raise DatasetError("dataset.fold: kind 'group' needs labels: Dataset(path, groups=...)")
    if max_folds is not None and k > max_folds:
        raise DatasetError(
            f"dataset.fold.k: {k:,} folds are above the setting max_folds={max_folds:,}"
        )
    if not is_integer(seed) or not 0 <= seed < 2**32:
        raise DatasetError(f"dataset.fold.seed: {seed!r:.40} is not an integer from 0 to 2**32 - 1")
    return kind, k, index, seed


def fold_rows(info: DatasetInfo) -> tuple[int, int] | None:
    """(training, held-out) rows of the dataset's fold; None when they depend on its labels."""
    fold = info.dataset.fold or {}
    kind, k, index, _ = check_fold(fold, info.rows, info.groups is not None)
    if kind == "kfold":
        held_out = info.rows // k + (index < info.rows % k)
        return info.rows - held_out, held_out
    if kind == "timeseries":
        held_out = info.rows // (k + 1)
        return info.rows - (k - index) * held_out, held_out
    return None


def _splitter(kind: str, k: int, seed: int) -> Any:
    try:
        from sklearn import model_selection
    except ImportError:
        raise MissingExtraError("scikit-learn", "search") from None
    makers: dict[str, Callable[[], Any]] = {
        "kfold": lambda: model_selection.KFold(k, shuffle=True, random_state=seed),
        "stratified": lambda: model_selection.StratifiedKFold(k, shuffle=True, random_state=seed),
        "group": lambda: model_selection.GroupKFold(k),
        "timeseries": lambda: model_selection.TimeSeriesSplit(k),
    }
    return makers[kind]()


def _classes(arrays: Arrays) -> Array:
    """The class of each row, shape (rows,), from class numbers or one-hot labels."""
    outputs = flatten(arrays.y)
    if len(outputs) != 1:
        raise DatasetError(
            f"dataset.fold: kind 'stratified' needs one array of labels, y has {len(outputs)};"
            " use 'kfold'"
        )
    (y,) = outputs
    labels = np.asarray(y.take(np.arange(len(y))) if isinstance(y, Stream) else y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.asarray(labels.argmax(axis=1))
    if labels.size != len(labels):
        raise DatasetError(
            f"dataset.fold: kind 'stratified' needs a class for each row, y has the shape"
            f" {labels.shape}; use 'kfold'"
        )
    return labels.reshape(-1)
