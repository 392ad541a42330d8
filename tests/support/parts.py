"""The parts of the tests.

`make test` runs what is not marked slow, `make test-slow` what is, but for further variants of a
rule that a few variants show already: they are marked exhaustive too, for `make test-exhaustive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def quick(names: Iterable[str], *chosen: str) -> list[Any]:
    """Parameters of a test: the chosen ones for `make test`, the others marked slow.

    Raises KeyError if one of the chosen is no parameter any more.
    """
    return _parameters(names, chosen, pytest.mark.slow)


def sampled(names: Iterable[str], *chosen: str, slow: Sequence[str] = ()) -> list[Any]:
    """Parameters of a test: the chosen ones with the test's marks, `slow`, the others exhaustive.

    Raises KeyError if one of the chosen or of `slow` is no parameter any more.
    """
    every = _parameters(names, (*chosen, *slow), pytest.mark.slow, pytest.mark.exhaustive)
    return [pytest.param(each, marks=pytest.mark.slow) if each in slow else each for each in every]


def _parameters(names: Iterable[str], chosen: tuple[str, ...], *marks: Any) -> list[Any]:
    every = list(names)
    for name in chosen:
        if name not in every:
            raise KeyError(f"{name!r} is not one of {every}")
    return [name if name in chosen else pytest.param(name, marks=marks) for name in every]
