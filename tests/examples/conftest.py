"""One local fleet runs the jobs of all examples; each test waits for its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from cases import EXAMPLES, NAMES

import fitfleet as ff


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ff.Fleet]:
    """Two workers that trust the examples' own modules."""
    from runner import TRUSTED

    with ff.local(
        workers=2,
        directory=tmp_path_factory.mktemp("fleet"),
        trusted_modules=TRUSTED,
        module_path=(str(EXAMPLES),),
    ) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def submitted(
    fleet: ff.Fleet, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[dict[str, Any], ff.Job]]]:
    """Of each example: what `jobs` returned, and the handle that submit gave for it."""
    folder = tmp_path_factory.mktemp("data")
    return {
        name: [(job, fleet.submit(**job)) for job in importlib.import_module(name).jobs(folder)]
        for name in NAMES
    }
