"""Declaring a dataset: a path, a mapping, or `Dataset(path, x=..., y=..., ...)`."""

from __future__ import annotations

import os
import re
from inspect import isfunction
from typing import Any, TypeGuard

from pydantic import ValidationError

from fitfleet.errors import DatasetError
from fitfleet.spec.datasets.files import Files, as_files
from fitfleet.spec.job import DatasetSpec, Windows
from fitfleet.spec.keras_names import catalog
from fitfleet.spec.keras_objects.custom_objects import check_reachable
from fitfleet.spec.keras_objects.object_documents import to_document

_ARRAYS = "the name of an array, a list of names, or {input name: array name}"
_HDF5 = (".h5", ".hdf5", ".mat")
_ROLES = ("x", "y", "x_val", "y_val", "x_test", "y_test", "sample_weight", "sample_weight_val")
_BESIDE = _ROLES[2:6] + _ROLES[7:]
# Fields that are allowed with a function; its result decides about the others.
_BESIDE_FUNCTION = ("function", "arguments", "fold", "nan")
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_FOLD = {"kind": "kfold", "k": None, "index": None, "seed": 0}


def Dataset(
    path: str | os.PathLike[str] | list[str] | tuple[str, ...] = "", **fields: Any
) -> DatasetSpec | Files:
    """A dataset for `fleet.submit(dataset=...)`; fields are those of DatasetSpec.

    `path` may be a list of files whose rows are concatenated. DatasetError for an unknown
    field, with the nearest ones, or a value that does not fit.
    """
    if isinstance(path, list | tuple):
        for first in path[:1]:
            dataset_spec({**fields, "path": first})
        return as_files({"path": path, **fields}) or dataset_spec({"path": path})
    return dataset_spec({"path": os.fspath(path), **fields})


def dataset_spec(value: Any) -> DatasetSpec:
    """A path, a mapping of DatasetSpec's fields, or a DatasetSpec, in its canonical form.

    So that a dataset has one form, names in HDF5 have no slash at either end, and a fold has all
    fields. Raises DatasetError.
    """
    if isinstance(value, DatasetSpec):
        check_text(value)
        return _canonical(value)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isfunction(value):
        check_reachable(value, "dataset")
        value = f"{value.__module__}:{value.__name__}"
    if isinstance(value, str):
        value = {"function" if _FUNCTION.fullmatch(value) else "path": value}
    if isinstance(value, dict) and "function" in value:
        value = _with_function(value)
    if _is_torch_dataset(value):
        raise DatasetError(
            f"dataset: the {type(value).__name__} of PyTorch gives single rows; give the"
            " DataLoader that makes batches of them, such as DataLoader(dataset, batch_size=32)"
        )
    if not isinstance(value, dict):
        raise DatasetError(
            f"dataset: the {type(value).__name__} is neither a path nor a mapping; give the path"
            " of a file, Dataset(path, x=..., y=...), or arrays as (x, y)"
        )
    _check_names(value, DatasetSpec.model_fields, "dataset")
    if isinstance(value.get("windows"), dict):
        _check_names(value["windows"], Windows.model_fields, "dataset.windows")
    if isinstance(value.get("fold"), dict):
        _check_names(value["fold"], _FOLD, "dataset.fold")
    try:
        dataset = DatasetSpec(**value)
    except ValidationError as error:
        raise DatasetError(_sentence(error)) from None
    if not dataset.path and not dataset.files and dataset.function is None:
        raise DatasetError("dataset.path: it is missing; give the path of a file")
    check_text(dataset)
    _check_windows(dataset)
    _check_table(dataset)
    return _canonical(dataset)


def names_a_dataset(value: Any) -> TypeGuard[str | os.PathLike[str] | DatasetSpec]:
    """Whether a value is a path or a DatasetSpec, not data."""
    return isinstance(value, str | os.PathLike | DatasetSpec)


def training_only(dataset: DatasetSpec) -> DatasetSpec:
    """The dataset with x, y and sample weights only, without validation and test arrays."""
    return dataset.model_copy(update=dict.fromkeys(_BESIDE, False))


def inputs_only(dataset: DatasetSpec) -> DatasetSpec:
    """The dataset with x only."""
    alone = {"y": None, "sample_weight": False, "groups": None, "fold": None}
    return training_only(dataset).model_copy(update=alone)


def _with_function(value: dict[str, Any]) -> dict[str, Any]:
    """{"function": "module:name", "arguments": {...}} as DatasetSpec has it."""
    unknown = next((name for name in value if name not in _BESIDE_FUNCTION), None)
    if unknown is not None:
        raise DatasetError(
            f"dataset.{str(unknown)[:60]}: cannot be used with a function, which returns (x, y),"
            " batches of them, or {'x': ..., 'y': ..., 'x_val': ...}"
        )
    function, arguments = value["function"], value.get("arguments")
    if isfunction(function):
        check_reachable(function, "dataset")
        function = f"{function.__module__}:{function.__name__}"
    if isinstance(function, str):
        if not _FUNCTION.fullmatch(function):
            raise DatasetError(f"dataset.function: {function!r:.80} is not of the form module:name")
        function = {"path": function, "arguments": to_document(arguments or {}, "dataset")}
    return {k: v for k, v in {**value, "function": function}.items() if k != "arguments"}


def check_text(dataset: DatasetSpec) -> None:
    """Raises DatasetError for names that are no Unicode text, as of a file in another encoding.

    They cannot be stored as JSON.
    """
    try:
        dataset.model_dump_json()
    except ValueError:
        raise DatasetError(
            f"dataset.path: {dataset.path.encode(errors='replace').decode()!r:.80} or a name in the"
            " dataset is not Unicode text; rename the file or the array"
        ) from None


def _canonical(dataset: DatasetSpec) -> DatasetSpec:
    changes: dict[str, Any] = {}
    if dataset.path.lower().endswith(_HDF5):
        for role in (*_ROLES, "groups"):
            given = getattr(dataset, role)
            if given and given != (inside := _inside(given)):
                changes[role] = inside
    for name in ("missing", "texts"):
        given = getattr(dataset, name)
        if given != sorted(set(given)):
            changes[name] = sorted(set(given))
    if dataset.fold is not None and len(dataset.fold) < len(_FOLD):
        changes["fold"] = _FOLD | dataset.fold
    return dataset.model_copy(update=changes) if changes else dataset


def _inside(role: Any) -> Any:
    """A role with HDF5 names in normal form: `/train//x` is `train/x`."""
    if isinstance(role, str):
        return "/".join(part for part in role.split("/") if part) or role
    if isinstance(role, dict):
        return {name: _inside(part) for name, part in role.items()}
    return [_inside(name) for name in role] if isinstance(role, list) else role


def _is_torch_dataset(value: Any) -> bool:
    """Recognized by the names of its classes, so that PyTorch is not imported."""
    return any(
        kind.__module__.startswith("torch.utils.data") and kind.__name__ == "Dataset"
        for kind in type(value).__mro__
    )


def _check_names(given: dict[str, Any], known: Any, place: str) -> None:
    for name in given:
        if name not in known:
            hint = catalog.nearest(str(name), known)
            raise DatasetError(f"{place}.{str(name)[:60]}: no such field; {hint}")


def _sentence(error: ValidationError) -> str:
    """The first error of pydantic, as a message about a dataset."""
    first = error.errors()[0]
    field = str(first["loc"][0])
    if field[:1] in "xy" or field.startswith("sample_weight"):
        given = first["input"]
        if hasattr(given, "__array__") or hasattr(given, "dtype"):
            return (
                f"dataset.{field}: is an array, not the name of one in the file; arrays are given"
                " as dataset=(x, y), with validation_data= and sample_weight="
            )
        shown = " ".join(repr(given).split())
        return f"dataset.{field}: {shown:.60} is not {_ARRAYS}"
    place = ".".join(("dataset", *map(str, first["loc"])))
    message = first["msg"][:1].lower() + first["msg"][1:]
    return f"{place}: {first['input']!r:.60}: {message}"


def _check_table(dataset: DatasetSpec) -> None:
    if dataset.decimal == "," and dataset.delimiter in (None, ","):
        raise DatasetError(
            "dataset.decimal: a comma needs another delimiter; name it, such as delimiter=';'"
        )


def _check_windows(dataset: DatasetSpec) -> None:
    if dataset.windows is None:
        return
    for name, minimum in (("length", 1), ("stride", 1), ("horizon", 0)):
        size = getattr(dataset.windows, name)
        if size < minimum:
            wanted = "a positive integer" if minimum else "an integer of 0 or more"
            raise DatasetError(f"dataset.windows.{name}: {size} is not {wanted}")
