"""What the files of a dataset contain, as the checking process reports it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fitfleet.data.files.fingerprint import Content, read_json, write_json
from fitfleet.data.formats import Leaf, TableOptions
from fitfleet.data.formats.file import hasher
from fitfleet.data.formats.source import check_expansion
from fitfleet.data.formats.statistics import ArrayInfo
from fitfleet.data.inspection.checker import Ask, call
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError


class Inspection:
    """Names, statistics and categories of a dataset's arrays, cached by content.

    Every array in `infos` was read through by the checking process: this process may open it.
    """

    def __init__(
        self, content: Content, cache: Path, limits: Limits, options: TableOptions
    ) -> None:
        self._content = content
        self._limits = limits
        self._options = options
        parts = [content.fingerprint, limits.array_bytes, limits.table_bytes, options.key()]
        key = hasher(json.dumps(parts).encode()).hexdigest()
        self._entry = cache / "statistics" / f"{key}.json"
        self._answers = read_json(self._entry) or {}

    def names(self) -> tuple[list[str], bool]:
        """The arrays of the dataset, and whether it is a table. Raises DatasetError."""
        if "names" not in self._answers:
            self._answers.update(call(self._content.place, self._limits, self._open))
            write_json(self._entry, self._answers)
        return list(self._answers["names"]), bool(self._answers["is_table"])

    def infos(self, leaves: Iterable[Leaf]) -> dict[Leaf, ArrayInfo]:
        """An ArrayInfo for each leaf. Raises DatasetError for one that is unsafe or too large."""
        requested = list(leaves)
        absent = [leaf for leaf in requested if json.dumps(leaf) not in self._answers]
        if absent:
            self._answers.update(self._read(requested, absent))
            write_json(self._entry, self._answers)
        return {leaf: ArrayInfo.from_json(self._answers[json.dumps(leaf)]) for leaf in requested}

    def runs(self, leaf: str) -> list[int]:
        """Lengths of the runs of equal numbers in an array. Raises DatasetError for too many."""
        key = f"runs {leaf}"

        def read(ask: Ask) -> list[int]:
            self._open(ask)
            lengths: list[int] = ask("runs", leaf=leaf)
            return lengths

        if key not in self._answers:
            self._answers[key] = call(self._content.place, self._limits, read)
            write_json(self._entry, self._answers)
        return list(self._answers[key])

    def words(self, columns: Iterable[str], *, only_text: bool) -> dict[str, list[str] | None]:
        """The categories of columns; with `only_text` None for one that contains a number."""
        keys = {name: f"words {only_text} {name}" for name in columns}
        absent = {name: key for name, key in keys.items() if key not in self._answers}

        def read(ask: Ask) -> dict[str, Any]:
            self._open(ask)
            return {
                key: ask("words", column=name, only_text=only_text) for name, key in absent.items()
            }

        if absent:
            self._answers.update(call(self._content.place, self._limits, read))
            write_json(self._entry, self._answers)
        return {name: self._answers[key] for name, key in keys.items()}

    def _open(self, ask: Ask) -> dict[str, Any]:
        files = {
            name: (str(file.path.absolute()), file.size, file.digests.hex())
            for name, file in self._content.files.items()
        }
        answer: dict[str, Any] = ask(
            "open",
            files=files,
            limits=asdict(self._limits),
            options=self._options.to_json(),
        )
        return answer

    def _read(self, requested: list[Leaf], absent: list[Leaf]) -> dict[str, Any]:
        def read(ask: Ask) -> dict[str, Any]:
            self._open(ask)
            self._check_bytes(ask("bytes", leaves=requested))
            return {json.dumps(leaf): ask("read", leaf=leaf) for leaf in absent}

        return call(self._content.place, self._limits, read)

    def _check_bytes(self, nbytes: int) -> None:
        if nbytes > self._limits.array_bytes:
            raise DatasetError(
                f"{self._content.place}: its arrays are {nbytes:,} bytes together, above the"
                f" setting max_dataset_bytes={self._limits.array_bytes:,}; raise it or use fewer"
                " arrays"
            )
        stored_bytes = sum(file.size for file in self._content.files.values())
        check_expansion(self._content.place, nbytes, stored_bytes)
