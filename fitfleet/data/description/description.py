"""What a dataset contains, from its file: roles, shapes, dtypes, NaN count, fingerprint."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from fitfleet.data.description.categories import options_of, with_words
from fitfleet.data.description.roles import misfits, resolve
from fitfleet.data.files.fingerprint import Content, Stamp, read_content
from fitfleet.data.files.location import locate
from fitfleet.data.files.storage_names import STORAGE
from fitfleet.data.formats import Leaf
from fitfleet.data.info import ArrayInfo, DatasetInfo, array_key, flatten, is_text, map_role
from fitfleet.data.inspection.inspection import Inspection
from fitfleet.data.limits import Limits
from fitfleet.data.rows import windows
from fitfleet.data.rows.folds import check_fold
from fitfleet.errors import DatasetError
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import check_text
from fitfleet.spec.job import DatasetSpec

ROLES = ("x", "y", "sample_weight", "x_val", "y_val", "sample_weight_val", "x_test", "y_test")
INPUTS = ("x", "x_val", "x_test")
_MAX_DESCRIBED = 200


class _Described(NamedTuple):
    stamps: list[Stamp]  # empty: the files may still change without a change of their stamps
    fingerprint: str
    info: DatasetInfo


_described: OrderedDict[Any, _Described] = OrderedDict()


def describe(dataset: DatasetSpec, settings: Settings) -> DatasetInfo | None:
    """Read and check the files; None when their folder is not on this machine, or a worker calls
    the function that gives the data.

    The files are read once for their hash and once, by the process that reads untrusted files, for
    NaN and ranges; both are cached, so that a second call costs a stat. Raises DatasetError for
    what is missing, unsafe, empty or too large, for arrays of different numbers of rows, and for
    NaN under `nan="refuse"`.
    """
    check_text(dataset)
    if dataset.function is not None:
        return None  # a worker calls it
    location = locate(dataset, settings)
    if location is None:
        return None
    stamps = [Stamp.of(path) for path in location.all()]
    bounds = (settings.max_dataset_bytes, settings.memory_bytes, settings.max_folds)
    key = (dataset.model_dump_json(), settings.data_root, settings.cache, *bounds)
    earlier = _described.get(key)
    if earlier is not None and earlier.stamps == stamps:
        return earlier.info
    limits = Limits.of(settings)
    content = read_content(location, Path(settings.cache), limits)
    if earlier is not None and earlier.fingerprint == content.fingerprint:
        info = earlier.info
    else:
        info = _read(dataset, content, Path(settings.cache), limits)
        if info.dataset.fold:
            has_groups = info.groups is not None
            check_fold(info.dataset.fold, info.rows, has_groups, settings.max_folds)
    is_settled = all(stamp.is_settled(time.time_ns()) for stamp in stamps)
    _described[key] = _Described(stamps if is_settled else [], content.fingerprint, info)
    while len(_described) > _MAX_DESCRIBED:
        _described.popitem(last=False)
    return info


def role_leaves(dataset: DatasetSpec, is_table: bool) -> list[Leaf]:
    """Every array that the dataset uses, each once."""
    leaves: list[Leaf] = []

    def keep(leaf: Leaf) -> None:
        leaves.append(leaf)

    for role in (*ROLES, "groups"):
        map_role(getattr(dataset, role), is_table, keep)
    if dataset.windows is not None and dataset.windows.series:
        keep(dataset.windows.series)
    return list(dict.fromkeys(leaves))


def _read(dataset: DatasetSpec, content: Content, cache: Path, limits: Limits) -> DatasetInfo:
    place = "dataset" if dataset.path.startswith(STORAGE) else content.place
    if dataset.windows is not None:
        windows.check(dataset.windows)
    inspection = Inspection(content, cache, limits, options_of(dataset))
    names, is_table = inspection.names()
    resolved = resolve(dataset, names)
    if is_table:
        resolved = with_words(resolved, inspection)
        inspection = Inspection(content, cache, limits, options_of(resolved))
    elif options_of(dataset).key() and not dataset.path.startswith(STORAGE):
        raise DatasetError(
            f"{place}: delimiter, decimal, missing, categories and texts are of tables (CSV,"
            " Parquet)"
        )
    infos = inspection.infos(role_leaves(resolved, is_table))
    lengths = _series_lengths(place, resolved, infos, inspection)
    info = _in_roles(resolved, content.fingerprint, infos, is_table, lengths)
    left_out, warnings = misfits(dataset, info)
    if left_out:
        resolved = resolved.model_copy(update=left_out)
        infos = {leaf: infos[leaf] for leaf in role_leaves(resolved, is_table)}
        info = _in_roles(resolved, content.fingerprint, infos, is_table, lengths)
    _check_texts(place, info)
    return replace(
        info,
        rows=_rows(place, info, "x", "y", "sample_weight", "groups"),
        val_rows=_rows(place, info, "x_val", "y_val", "sample_weight_val"),
        test_rows=_rows(place, info, "x_test", "y_test"),
        warnings=warnings + _nan_warnings(place, info),
    )


def _check_texts(place: str, info: DatasetInfo) -> None:
    for role in (*ROLES, "groups"):
        if role not in INPUTS and any(map(is_text, flatten(getattr(info, role)))):
            raise DatasetError(
                f"{place}: {role} contains texts, and only inputs may; encode it as"
                f" integers, such as"
                " with pandas.factorize, or in a table name its column in categories"
            )


def _in_roles(
    dataset: DatasetSpec,
    content: str,
    infos: dict[Leaf, ArrayInfo],
    is_table: bool,
    lengths: list[int] | None,
) -> DatasetInfo:
    roles = {
        role: map_role(
            getattr(dataset, role), is_table, _with_windows(infos, dataset, role in INPUTS, lengths)
        )
        for role in (*ROLES, "groups")
    }
    return DatasetInfo(
        fingerprint=content,
        dataset=dataset,
        arrays=_by_name(infos),
        rows=0,
        is_table=is_table,
        **roles,
    )


def _series_lengths(
    place: str, dataset: DatasetSpec, infos: dict[Leaf, ArrayInfo], inspection: Inspection
) -> list[int] | None:
    """The number of rows of each series; None if all rows are one series."""
    name = None if dataset.windows is None else dataset.windows.series
    if not name:
        return None
    shape = infos[name].shape
    if dataset.x_val or dataset.x_test:
        raise DatasetError(
            f"{place}: windows.series tells the series of the training rows; leave validation and"
            " test arrays out (x_val=False, x_test=False), and take validation_split"
        )
    leaves = role_leaves(dataset.model_copy(update={"windows": None}), inspection.names()[1])
    rows = {infos[leaf].shape[0] for leaf in leaves}
    if rows != {shape[0]} or shape[1:] not in ((), (1,)):
        raise DatasetError(
            f"{place}: windows.series: {name!r} has the shape {shape}; it has one number for each"
            f" of the {max(rows):,} rows"
        )
    return inspection.runs(name)


def _by_name(infos: dict[Leaf, ArrayInfo]) -> dict[str, ArrayInfo]:
    """Each array under a unique name: a column may be named like two others joined."""
    by_name: dict[str, ArrayInfo] = {}
    for leaf, info in infos.items():
        name = array_key(leaf)
        while name in by_name:
            name = f"[{name}]"
        by_name[name] = info
    return by_name


def _with_windows(
    infos: dict[Leaf, ArrayInfo],
    dataset: DatasetSpec,
    is_input: bool,
    lengths: list[int] | None,
) -> Callable[[Leaf], ArrayInfo]:
    """An array as the model sees it: cut into windows if the dataset has them."""

    def described(leaf: Leaf) -> ArrayInfo:
        info = infos[leaf]
        if dataset.windows is None:
            return info
        middle = (dataset.windows.length,) if is_input else ()
        rows = windows.total(lengths or [info.shape[0]], dataset.windows)
        return replace(info, shape=(rows, *middle, *info.shape[1:]))

    return described


def _rows(place: str, info: DatasetInfo, x_role: str, y_role: str, *others: str) -> int:
    """The number of rows of the roles. Raises DatasetError when it differs between them or is 0."""
    arrays = flatten(getattr(info, x_role))
    given = [role for role in (y_role, *others) if getattr(info, role) is not None]
    if not arrays:
        if given:
            raise DatasetError(f"{place}: {given[0]} is given but not {x_role}; name both")
        return 0
    if info.y is not None and y_role not in given:
        raise DatasetError(f"{place}: {x_role} is given but not {y_role}; name its labels too")
    rows = int(arrays[0].shape[0])
    for role in (x_role, *given):
        for array in flatten(getattr(info, role)):
            if array.shape[0] != rows:
                raise DatasetError(
                    f"{place}: {x_role} has {rows:,} rows but {role} has {array.shape[0]:,};"
                    " every array needs one row for each sample"
                )
    if rows == 0:
        why = " (no window fits into the series)" if info.dataset.windows else ""
        raise DatasetError(f"{place}: {x_role} has no rows{why}; a fit needs at least one")
    return rows


def _nan_warnings(place: str, info: DatasetInfo) -> list[str]:
    lines = [
        f"{place}: array {name!r} contains {array.nan_count:,} NaN"
        for name, array in info.arrays.items()
        if array.nan_count
    ]
    if lines and info.dataset.nan == "refuse":
        raise DatasetError(f"{lines[0]}; clean the data, or use nan='warn'")
    return lines if info.dataset.nan == "warn" else []
