"""Declaring a dataset: a path, a mapping, or `Dataset(path, x=..., y=..., ...)`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fitfleet.errors import DatasetError
from fitfleet.spec import catalog
from fitfleet.spec.job import DatasetSpec


def Dataset(path: str = "", **fields: Any) -> DatasetSpec:
    """A dataset for `fleet.submit(dataset=...)`; fields are those of DatasetSpec.

    DatasetError for an unknown field or a value that does not fit.
    """
    return dataset_spec({"path": str(path), **fields})


def dataset_spec(value: Any) -> DatasetSpec:
    """A path, a mapping of DatasetSpec's fields, or a DatasetSpec. Raises DatasetError."""
    if isinstance(value, DatasetSpec):
        return value
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if isinstance(value, str):
        value = {"path": value}
    if not isinstance(value, dict):
        raise DatasetError(f"dataset: a {type(value).__name__} is not a path or a mapping")
    for name in value:
        if name not in DatasetSpec.model_fields:
            hint = catalog.nearest(str(name), DatasetSpec.model_fields)
            raise DatasetError(f"dataset.{name}: no such field; {hint}")
    try:
        found = DatasetSpec(**value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["dataset", *(str(part) for part in first["loc"])])
        raise DatasetError(f"{place}: {first['input']!r}: {first['msg']}") from None
    _check_windows(found)
    return found


def _check_windows(dataset: DatasetSpec) -> None:
    if dataset.windows is None:
        return
    for name in ("length", "stride", "horizon"):
        size = getattr(dataset.windows, name)
        if size < (0 if name == "horizon" else 1):
            raise DatasetError(f"dataset.windows.{name}: {size} is not a positive integer")
