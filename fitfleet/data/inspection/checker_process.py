"""The process that reads untrusted files before any other does; a damaged one may end it.

`checker` starts it and sends requests. Requests and answers are JSON objects, one for each line.
While it works it writes empty lines, so that a slow file can be told from one that hangs. It
imports NumPy and what the format needs, no database and no Keras.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from fitfleet.data.formats import DataFile, Source, TableOptions, open_source
from fitfleet.data.formats.columns import ColumnSource
from fitfleet.data.inspection.open_for_writing import check_writers
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError, FitfleetError, MissingExtraError

# Without a request for this time the process ends; the next file starts another.
IDLE_S = 60.0
MAX_SERIES = 100_000
_FIRST_READ_BYTES = 2**16


def main(memory_bytes: int) -> None:
    """Answer requests until the input ends, or none has come for IDLE_S."""
    _limit(memory_bytes)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print
    session = _Session(answers)
    _send(answers, {"ready": True})
    for request in _requests():
        _send(answers, session.answer(request))


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows, where there is no such limit
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _requests() -> Iterator[dict[str, Any]]:
    source = os.fdopen(0, "rb", buffering=0)
    rest = b""
    while select.select([source], [], [], IDLE_S)[0]:
        data = source.read(_FIRST_READ_BYTES)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
        for line in lines:
            yield json.loads(line)


def _send(answers: IO[str], value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


class _Session:
    """Reads one dataset after another; requests are about the one that was opened last."""

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers
        self._source: Source | None = None
        self._opened_with: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """{"answer": value} of the method that `request["do"]` names, or {"error": ...}."""
        try:
            return {"answer": getattr(self, f"do_{request.pop('do')}")(**request)}
        except MissingExtraError as error:
            about = {"package": error.package, "extra": error.extra}
            return {"error": MissingExtraError.__name__, **about}
        except FitfleetError as error:
            return {"error": type(error).__name__, "message": str(error)}
        except MemoryError:
            return {"error": "memory"}
        except Exception as error:  # libraries raise errors of any class for a damaged file
            words = str(error).splitlines()[0][:160] if str(error) else ""
            return {"error": "other", "message": f"{type(error).__name__}: {words}".rstrip(": ")}

    def do_open(
        self, files: dict[str, Any], limits: dict[str, Any], options: dict[str, Any]
    ) -> dict[str, Any]:
        """Open a dataset, if it is not the open one; its names, and whether it is a table."""
        opened_with = (files, limits, options)
        if self._source is not None and opened_with == self._opened_with:
            return {"names": self._source.names(), "is_table": self._source.is_table}
        if self._source is not None:
            self._source.close()
            self._source = None
        for path, _, _ in files.values():
            check_writers(Path(path))
        self._source = open_source(
            {
                name: DataFile(Path(path), size, bytes.fromhex(digests))
                for name, (path, size, digests) in files.items()
            },
            Limits(**limits),
            TableOptions.from_json(options),
        )
        self._opened_with = opened_with
        return {"names": self._source.names(), "is_table": self._source.is_table}

    def do_words(self, column: str, only_text: bool) -> list[str] | None:
        """The categories of a column of a table."""
        assert isinstance(self._source, ColumnSource)
        return self._source.words(column, only_text=only_text)

    def do_runs(self, leaf: str) -> list[int]:
        """Lengths of the runs of equal numbers in an array that was read through."""
        from fitfleet.data.rows.windows import run_lengths

        assert self._source is not None
        lengths = run_lengths(self._source.blocks(leaf))
        if len(lengths) > MAX_SERIES:
            raise DatasetError(
                f"{leaf}: changes {len(lengths):,} times, at most {MAX_SERIES:,} series are read;"
                " sort the rows by it"
            )
        return lengths

    def do_bytes(self, leaves: list[Any]) -> int:
        """Bytes of the arrays in memory, by their headers after all checks."""
        assert self._source is not None
        return sum(self._source.header(_leaf(leaf)).nbytes for leaf in leaves)

    def do_read(self, leaf: Any) -> dict[str, Any]:
        """Read all of an array: the fields of its ArrayInfo."""
        from fitfleet.data.formats.statistics import read_through

        assert self._source is not None
        return asdict(read_through(self._source, _leaf(leaf), self._report_alive))

    def do_hdf5(self, path: str, max_bytes: int) -> int:
        """Read all objects of an HDF5 file; the bytes of its arrays."""
        from fitfleet.data.formats.hdf5_walk import walk

        return walk(Path(path), max_bytes, self._report_alive)

    def do_convert(
        self, parts: list[dict[str, Any]], target: str, max_bytes: int
    ) -> dict[str, Any]:
        """Decode the files of folders into one HDF5 file: its hash, and what was left out."""
        from fitfleet.data.decoding.writing import convert

        return convert(parts, Path(target), max_bytes, self._progress)

    def do_records(
        self, parts: list[dict[str, Any]], target: str, max_bytes: int
    ) -> dict[str, Any]:
        """Read the examples of TFRecord files into one HDF5 file: its hash."""
        from fitfleet.data.decoding.records import convert_records

        return convert_records(parts, Path(target), max_bytes, self._progress)

    def do_zarr(self, folder: str, target: str, max_bytes: int) -> dict[str, Any]:
        """Unpack the arrays of a Zarr folder into one HDF5 file: its hash."""
        from fitfleet.data.decoding.zarr import convert_zarr

        return convert_zarr(Path(folder), Path(target), max_bytes, self._progress)

    def _progress(self, done: int, count: int) -> None:
        self._answers.write(f"#{done} {count}\n")
        self._answers.flush()

    def _report_alive(self) -> None:
        self._answers.write("\n")
        self._answers.flush()


def _leaf(leaf: Any) -> Any:
    return leaf if isinstance(leaf, str) else tuple(leaf)


if __name__ == "__main__":
    main(int(sys.argv[1]))
