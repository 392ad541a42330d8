"""What a model predicts, as a file for other tools or as lines of CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fitfleet.errors import FitfleetError
from fitfleet.objects.draft import whole
from fitfleet.text import printable

if TYPE_CHECKING:
    import numpy as np

FORMATS = (".csv", ".h5", ".npy", ".npz")
_ALONE = "predictions"  # the name of an output that has none

Outputs = dict[str, "np.ndarray[Any, Any]"]


def check_target(path: Path) -> None:
    """Refuse what cannot be written before anything is computed for it. FitfleetError."""
    if path.suffix not in FORMATS:
        raise FitfleetError(f"--output: {str(path)!r} does not end in one of {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise FitfleetError(
            f"--output: {str(path)!r}: the folder {str(path.absolute().parent)!r} does not exist"
        )


def write(parts: Iterable[Any], path: Path) -> int:
    """Write predictions, given part by part, to a file of FORMATS; the number of rows.

    The file has its name once it is whole. CSV and HDF5 are written as the parts come, the others
    hold all of them. FitfleetError for what a format cannot hold, StorageError for a file that
    cannot be written.
    """
    check_target(path)
    writer = {".csv": _csv, ".h5": _hdf5, ".npy": _npy, ".npz": _npz}[path.suffix]
    with whole(path) as draft:
        rows = writer(map(named, parts), draft)
    return rows


def print_csv(parts: Iterable[Any], stream: IO[str] | None = None) -> int:
    """The same as CSV on stdout, or on another stream; the number of rows."""
    return _lines(map(named, parts), stream or sys.stdout)


def named(part: Any) -> Outputs:
    """The arrays of what a model predicts by the names of its outputs; of a list by their numbers.

    The only output of a model is called `predictions`.
    """
    import numpy as np

    if isinstance(part, dict):
        return {
            name if isinstance(value, np.ndarray) else f"{name}/{inner}": leaf
            for name, value in part.items()
            for inner, leaf in named(value).items()
        }
    if isinstance(part, list | tuple):
        return named({str(number): value for number, value in enumerate(part)})
    return {_ALONE: np.asarray(part)}


def _csv(parts: Iterator[Outputs], path: Path) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        return _lines(parts, file)


def _lines(parts: Iterator[Outputs], file: IO[str]) -> int:
    """A header, and a line a row. A number is written so that reading it gives it again."""
    import numpy as np

    rows = 0
    for outputs in parts:
        if not rows:
            print(",".join(_header(outputs)), file=file)
        columns = [array.reshape(len(array), -1) for array in outputs.values()]
        texts = np.concatenate([column.astype(str) for column in columns], axis=1)
        for line in texts:
            print(",".join(line), file=file)
        rows += len(texts)
    return rows


def _header(outputs: Outputs) -> list[str]:
    names: list[str] = []
    for name, array in outputs.items():
        if array.ndim > 2:
            raise FitfleetError(
                f"{name}: has rows of shape {array.shape[1:]}, and CSV holds one number a column;"
                " give --output a file of .npy, .npz or .h5"
            )
        shown = printable(name).replace(",", "_").replace('"', "_")
        count = 1 if array.ndim == 1 else array.shape[1]
        names += [shown] if count == 1 else [f"{shown}_{index}" for index in range(count)]
    return names


def _hdf5(parts: Iterator[Outputs], path: Path) -> int:
    import h5py

    rows = 0
    with h5py.File(path, "w") as file:
        for outputs in parts:
            for name, array in outputs.items():
                if name not in file:
                    shape = (None, *array.shape[1:])
                    file.create_dataset(name, data=array, maxshape=shape, chunks=True)
                else:
                    file[name].resize(rows + len(array), axis=0)
                    file[name][rows:] = array
            rows += len(next(iter(outputs.values())))
    return rows


def _npy(parts: Iterator[Outputs], path: Path) -> int:
    return _whole(parts, lambda arrays: _save_one(path, arrays))


def _save_one(path: Path, arrays: Outputs) -> None:
    import numpy as np

    if len(arrays) != 1:
        raise FitfleetError(
            f"--output: the model has {len(arrays)} outputs, {', '.join(arrays)}, and .npy holds"
            " one; give a file of .npz or .h5"
        )
    np.save(path, next(iter(arrays.values())), allow_pickle=False)


def _npz(parts: Iterator[Outputs], path: Path) -> int:
    import numpy as np

    def save(arrays: Outputs) -> None:
        np.savez(path, **{name.replace("/", "_"): array for name, array in arrays.items()})  # type: ignore[arg-type]

    return _whole(parts, save)


def _whole(parts: Iterator[Outputs], save: Callable[[Outputs], None]) -> int:
    import numpy as np

    every = list(parts)
    arrays = {name: np.concatenate([part[name] for part in every]) for name in every[0]}
    save(arrays)
    return len(next(iter(arrays.values())))
