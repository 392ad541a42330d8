"""The parts of the tests.

`make test` runs what is not marked slow, `make test-slow` what is, but for further variants of a
rule that a few variants show already: they are marked exhaustive too, for `make test-exhaustive`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def quick(names: Iterable[str], *chosen: str) -> list[Any]:
    """Parameters of a test: the chosen ones for `make test`, the others marked slow.

    Raises KeyError if one of the chosen is no parameter any more.
    """
    return _parameters(names, chosen, pytest.mark.slow)


def sampled(names: Iterable[str], *chosen: str) -> list[Any]:
    """Parameters of a test: the chosen ones with the test's marks, the others exhaustive.

    Raises KeyError if one of the chosen is no parameter any more.
    """
    return _parameters(names, chosen, pytest.mark.slow, pytest.mark.exhaustive)


def _parameters(names: Iterable[str], chosen: tuple[str, ...], *marks: Any) -> list[Any]:
    every = list(names)
    for name in chosen:
        if name not in every:
            raise KeyError(f"{name!r} is not one of {every}")
    return [name if name in chosen else pytest.param(name, marks=marks) for name in every]
