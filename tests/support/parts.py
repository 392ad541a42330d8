"""The two parts of the tests: `make test` runs those that are not slow, `make test-all` both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quick(names: Iterable[str], *chosen: str) -> list[Any]:
    """Parameters of a test: the chosen ones for `make test`, the others marked slow.

    Raises KeyError if one of the chosen is no parameter any more.
    """
    every = list(names)
    for name in chosen:
        if name not in every:
            raise KeyError(f"{name!r} is not one of {every}")
    return [
        name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in every
    ]
