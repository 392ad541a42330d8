"""The arrays of a dataset, as a worker feeds them to a model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitfleet.data import windows
from fitfleet.data.describe import ROLES
from fitfleet.data.fingerprint import fingerprint, is_young, stamp
from fitfleet.data.formats import Leaf, Source, open_source
from fitfleet.data.formats.source import Array
from fitfleet.data.info import flatten, map_role, map_structure
from fitfleet.data.location import Location, locate
from fitfleet.data.roles import resolve
from fitfleet.data.streams import Stream
from fitfleet.errors import DatasetError, MissingExtraError
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec

_INPUTS = ("x", "x_val", "x_test")
_KEPT_MOST = 4
_kept: OrderedDict[Any, Arrays] = OrderedDict()


@dataclass(frozen=True)
class Arrays:
    """Each role an array, a list or a dict of arrays, as the dataset declares it, or None."""

    x: Any
    y: Any = None
    sample_weight: Any = None
    x_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None
    x_test: Any = None
    y_test: Any = None
    groups: Any = None
    fingerprint: str = ""

    @property
    def rows(self) -> int:
        """Rows of the training arrays."""
        return len(flatten(self.x)[0])

    @property
    def has_streams(self) -> bool:
        """Whether a training array is read from its file row by row."""
        return any(isinstance(leaf, Stream) for leaf in flatten([self.x, self.y]))


def load(dataset: DatasetSpec, settings: Settings) -> Arrays:
    """Read the arrays; what a child has read, it keeps for its next job of the same dataset.

    float64 becomes float32, as Keras casts to its floatx. HDF5 arrays are streamed when together
    they are larger than settings.memory_bytes. Raises DatasetError.
    """
    location = locate(dataset, settings)
    if location is None:
        raise DatasetError(
            f"dataset.path: {dataset.path!r} is not visible on this worker; its data_root is"
            f" {settings.data_root!r}"
        )
    unfolded = dataset.model_copy(update={"fold": None, "nan": "warn"})
    key = (unfolded.model_dump_json(), tuple(stamp(path) for path in location.all()))
    if key not in _kept or any(is_young(path) for path in location.all()):
        _kept[key] = _read(unfolded, location, settings)
        while len(_kept) > _KEPT_MOST:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    arrays = _kept[key]
    return split_fold(arrays, dataset.fold) if dataset.fold else arrays


def _read(dataset: DatasetSpec, location: Location, settings: Settings) -> Arrays:
    with open_source(location.path, location.files, settings) as source:
        dataset = resolve(dataset, source.names())
        read = _reader(dataset, source, location, settings)
        found: dict[str, Any] = {}
        for role in ROLES:
            arrays = map_role(getattr(dataset, role), source.is_table, read)
            if dataset.windows is not None and arrays is not None:
                cut = windows.inputs if role in _INPUTS else windows.targets
                arrays = map_structure(arrays, lambda a, cut=cut: cut(a, dataset.windows))
            found[role] = arrays
        groups = read(dataset.groups) if dataset.groups else None
    return Arrays(**found, groups=groups, fingerprint=fingerprint(location))


def _reader(
    dataset: DatasetSpec, source: Source, location: Location, settings: Settings
) -> Callable[[Leaf], Any]:
    leaves = [
        leaf
        for role in ROLES
        for leaf in flatten(map_role(getattr(dataset, role), source.is_table, lambda leaf: leaf))
    ]
    total = sum(source.header(leaf).nbytes for leaf in leaves)
    is_hdf5 = location.path is not None and location.path.suffix.lower() in (".h5", ".hdf5")
    if total > settings.memory_bytes and is_hdf5 and dataset.windows is None:
        path = location.path
        assert path is not None
        return lambda leaf: Stream(path, str(leaf), settings.max_dataset_bytes)
    known: dict[Leaf, Array] = {}

    def read(leaf: Leaf) -> Array:
        if leaf not in known:
            known[leaf] = _whole(source, leaf)
        return known[leaf]

    return read


def _whole(source: Source, leaf: Leaf) -> Array:
    header = source.header(leaf)
    whole = np.empty(header.shape, header.loaded_dtype)
    start = 0
    for block in source.blocks(leaf):
        whole[start : start + len(block)] = block
        start += len(block)
    return whole


def take(structure: Any, chosen: Any) -> Any:
    """The chosen rows (a slice or row numbers) of every array of a structure."""

    def rows(array: Any) -> Any:
        if not isinstance(array, Stream):
            return array[chosen]
        if isinstance(chosen, slice):
            return array.part(*chosen.indices(len(array))[:2])
        return array.take(chosen)

    return map_structure(structure, rows)


def split_validation(arrays: Arrays, fraction: float) -> Arrays:
    """Keras's validation_split: the last part, before any shuffling, is for validation."""
    if not fraction:
        return arrays
    kept = int(np.floor(arrays.rows * (1.0 - fraction)))
    if kept in (0, arrays.rows):
        raise DatasetError(
            f"validation_split: {fraction} of {arrays.rows} rows leaves {kept} for training"
        )
    first, last = slice(0, kept), slice(kept, arrays.rows)
    return replace(
        arrays,
        x=take(arrays.x, first),
        y=take(arrays.y, first),
        sample_weight=take(arrays.sample_weight, first),
        x_val=take(arrays.x, last),
        y_val=take(arrays.y, last),
        sample_weight_val=take(arrays.sample_weight, last),
    )


def split_fold(arrays: Arrays, fold: dict[str, Any]) -> Arrays:
    """One fold of a cross-validation by scikit-learn; its held-out rows are for validation.

    `fold` is {"kind": kfold|stratified|group|timeseries, "k", "index", "seed"}.
    """
    train, held_out = _fold_rows(arrays, fold)
    return replace(
        arrays,
        x=take(arrays.x, train),
        y=take(arrays.y, train),
        sample_weight=take(arrays.sample_weight, train),
        x_val=take(arrays.x, held_out),
        y_val=take(arrays.y, held_out),
        sample_weight_val=take(arrays.sample_weight, held_out),
    )


def _fold_rows(arrays: Arrays, fold: dict[str, Any]) -> tuple[Array, Array]:
    try:
        from sklearn import model_selection as sk
    except ImportError:
        raise MissingExtraError("scikit-learn", "search") from None
    k, seed = int(fold["k"]), fold.get("seed", 0)
    makers: dict[str, Callable[[], Any]] = {
        "kfold": lambda: sk.KFold(k, shuffle=True, random_state=seed),
        "stratified": lambda: sk.StratifiedKFold(k, shuffle=True, random_state=seed),
        "group": lambda: sk.GroupKFold(k),
        "timeseries": lambda: sk.TimeSeriesSplit(k),
    }
    kind = fold.get("kind", "kfold")
    if kind not in makers:
        raise DatasetError(f"folds: {kind!r} is none of {', '.join(makers)}")
    labels = None
    if kind == "stratified":
        labels = np.asarray(flatten(arrays.y)[0])
        labels = labels.argmax(-1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.ravel()
    try:
        splits = list(makers[kind]().split(np.zeros(arrays.rows), labels, arrays.groups))
    except ValueError as error:
        raise DatasetError(f"folds: {kind} with k={k}: {error}") from None
    train, held_out = splits[int(fold["index"])]
    return train, held_out
