"""How the cells of a table are read; a JSON object for the checking process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class TableOptions:
    """`delimiter`: "" is that of the suffix. `missing`: words for missing values beside pandas'.

    `categories`: of each column of text the words that stand for 0, 1, 2, ...; "" is a missing one.
    `texts`: columns that are read as they are.
    """

    delimiter: str = ""
    decimal: str = "."
    missing: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    texts: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TableOptions:
        """What `to_json` wrote."""
        categories = {name: tuple(words) for name, words in value["categories"].items()}
        return cls(
            value["delimiter"],
            value["decimal"],
            tuple(value["missing"]),
            categories,
            tuple(value["texts"]),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def key(self) -> str:
        """The options in the cache's keys, as JSON; "" for the defaults."""
        return "" if self == TableOptions() else json.dumps(self.to_json(), sort_keys=True)
