"""What a dataset holds, from its file: roles, shapes, dtypes, NaN count, fingerprint."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from fitfleet.data.fingerprint import fingerprint, is_young, stamp
from fitfleet.data.formats import Leaf, Source, open_source
from fitfleet.data.info import ArrayInfo, DatasetInfo, array_key, flatten, map_role, map_structure
from fitfleet.data.location import locate
from fitfleet.data.roles import resolve
from fitfleet.data.windows import count
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

_KNOWN_MOST = 200
_known: OrderedDict[Any, DatasetInfo] = OrderedDict()
ROLES = ("x", "y", "sample_weight", "x_val", "y_val", "sample_weight_val", "x_test", "y_test")
_INPUTS = ("x", "x_val", "x_test")


def describe(dataset: DatasetSpec, settings: Settings) -> DatasetInfo | None:
    """Read and check the file; None when its folder is not visible on this machine.

    Raises DatasetError for what is missing, unsafe or empty. Remembered while the file stays.
    """
    location = locate(dataset, settings)
    if location is None:
        return None
    paths = location.all()
    key = (
        dataset.model_dump_json(),
        tuple(sorted(dataset.model_fields_set)),
        tuple(stamp(path) for path in paths),
    )
    if key in _known and not any(is_young(path) for path in paths):
        return _known[key]
    with open_source(location.path, location.files, settings) as source:
        info = _describe(resolve(dataset, source.names()), source, fingerprint(location))
    _known[key] = info
    while len(_known) > _KNOWN_MOST:
        _known.popitem(last=False)
    return info


def _describe(dataset: DatasetSpec, source: Source, found_fingerprint: str) -> DatasetInfo:
    arrays: dict[str, ArrayInfo] = {}

    def look(leaf: Leaf) -> ArrayInfo:
        key = array_key(leaf)
        if key not in arrays:
            arrays[key] = _array(source, leaf)
        return arrays[key]

    structures: dict[str, Any] = {}
    for role in ROLES:
        found = map_role(getattr(dataset, role), source.is_table, look)
        if dataset.windows is not None and found is not None:
            found = map_structure(found, _windowed(dataset, role in _INPUTS))
        structures[role] = found
    groups = look(dataset.groups) if dataset.groups else None
    rows = _rows(dataset, structures, ("x", "y", "sample_weight"))
    return DatasetInfo(
        fingerprint=found_fingerprint,
        dataset=dataset,
        arrays=arrays,
        rows=rows,
        **structures,
        groups=groups,
        val_rows=_rows(dataset, structures, ("x_val", "y_val", "sample_weight_val")),
        test_rows=_rows(dataset, structures, ("x_test", "y_test")),
        is_table=source.is_table,
        warnings=_nan_warnings(dataset, arrays),
    )


def _windowed(dataset: DatasetSpec, is_input: bool) -> Any:
    windows = dataset.windows
    assert windows is not None

    def apply(info: ArrayInfo) -> ArrayInfo:
        rows = count(info.shape[0], windows)
        inner = info.shape[1:]
        shape = (rows, windows.length, *inner) if is_input else (rows, *inner)
        return ArrayInfo(shape, info.dtype, info.nan_count, info.minimum, info.maximum)

    return apply


def _array(source: Source, leaf: Leaf) -> ArrayInfo:
    header = source.header(leaf)
    nan_count, low, high = 0, np.inf, -np.inf
    for block in source.blocks(leaf):
        if not block.size:
            continue
        if block.dtype.kind == "f":
            absent = int(np.isnan(block).sum())
            nan_count += absent
            if absent == block.size:
                continue
            low, high = min(low, np.nanmin(block)), max(high, np.nanmax(block))
        else:
            low, high = min(low, block.min()), max(high, block.max())
    bounds = (float(low), float(high)) if low <= high else (None, None)
    return ArrayInfo(header.shape, str(header.loaded_dtype), nan_count, *bounds)


def _rows(dataset: DatasetSpec, structures: dict[str, Any], roles: tuple[str, ...]) -> int:
    found = [(role, leaf.shape[0]) for role in roles for leaf in flatten(structures[role])]
    if not found:
        return 0
    first_role, rows = found[0]
    for role, other in found:
        if other != rows:
            raise DatasetError(
                f"dataset: {first_role} has {rows} rows but {role} has {other}; they must be equal"
            )
    if rows == 0:
        raise DatasetError(f"{dataset.path or 'dataset.files'}: {first_role} has no rows")
    return rows


def _nan_warnings(dataset: DatasetSpec, arrays: dict[str, ArrayInfo]) -> list[str]:
    lines = [
        f"{dataset.path or 'dataset'}: array {name!r} holds {info.nan_count:,} NaN"
        for name, info in arrays.items()
        if info.nan_count
    ]
    if lines and dataset.nan == "refuse":
        raise DatasetError(f"{lines[0]}; clean the data, or use nan='warn'")
    return lines if dataset.nan == "warn" else []
