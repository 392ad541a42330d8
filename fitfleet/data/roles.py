"""Which arrays are x, y, x_val, ...: what is left at its default is looked for in the file."""

from __future__ import annotations

from typing import Any

from fitfleet.errors import DatasetError
from fitfleet.spec.job import DatasetSpec

_DEFAULTS = {"x": "x_train", "y": "y_train"}
_TRAIN = (("x_train", "y_train"), ("x", "y"), ("X", "y"), ("X", "Y"), ("X_train", "y_train"))
_MORE = {
    "x_val": ("x_val", "X_val"),
    "y_val": ("y_val",),
    "x_test": ("x_test", "X_test"),
    "y_test": ("y_test",),
    "sample_weight": ("sample_weight",),
    "sample_weight_val": ("sample_weight_val",),
}


def resolve(dataset: DatasetSpec, names: list[str]) -> DatasetSpec:
    """The dataset with every role named. DatasetError when no x can be found."""
    given = dataset.model_fields_set
    changes: dict[str, Any] = {}
    if "x" not in given and "y" not in given:
        changes |= _train(dataset, names)
    # Roles are looked for only beside arrays that were found by their usual names.
    if "x" not in given or dataset.x in ("x_train", "x", "X", "X_train"):
        for role, usual in _MORE.items():
            if role not in given:
                found = next((name for name in usual if name in names), None)
                if found is not None:
                    changes[role] = found
    resolved = dataset.model_copy(update=changes)
    # Sets every field as given, so that resolving it again changes nothing.
    return DatasetSpec(**resolved.model_dump())


def _train(dataset: DatasetSpec, names: list[str]) -> dict[str, Any]:
    for x, y in _TRAIN:
        if x in names:
            return {"x": x, "y": y if y in names else None}
    shown = ", ".join(sorted(names)[:20]) or "no arrays"
    place = dataset.path or "dataset.files"
    raise DatasetError(
        f"{place}: holds {shown}; none is named x_train or x, so say which are x and y:"
        " Dataset(path, x=..., y=...)"
    )
