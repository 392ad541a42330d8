"""One local fleet runs the jobs of all examples; each test waits for its own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases import EXAMPLES

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
        # A worker that a test kills is missed sooner.
        lease_s=15.0,
    ) as fleet:
        yield fleet


class Submitted(dict[str, list[tuple[dict[str, Any], ff.Job]]]):
    """Of each example: what `jobs` returned, and the handle that submit gave for it."""

    def __init__(self, fleet: ff.Fleet, folder: Path) -> None:
        self._fleet, self._folder = fleet, folder

    def __missing__(self, name: str) -> list[tuple[dict[str, Any], ff.Job]]:
        """Submit the jobs of an example when the first test asks for them."""
        jobs = importlib.import_module(name).jobs(self._folder)
        self[name] = [(job, self._fleet.submit(**job)) for job in jobs]
        return self[name]


@pytest.fixture(scope="session")
def submitted(fleet: ff.Fleet, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """The jobs of examples, by name."""
    return Submitted(fleet, tmp_path_factory.mktemp("data"))
