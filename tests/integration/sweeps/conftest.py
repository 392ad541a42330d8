"""A finished sweep with repeats, pruned trials and known curves, shared by the tests that read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.simulated_worker import StandIn, arguments, write_data

import fitfleet as ff
from fitfleet.db.session import Database


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ff.Sweep]:
    """16 trials of 3 repeats on SQLite, run by the stand-in; some are pruned."""
    folder = tmp_path_factory.mktemp("finished")
    settings = write_data(folder).replace(
        database_url=f"sqlite:///{folder / 'fleet.db'}", storage=str(folder / "storage")
    )
    database = Database(settings.database_url)
    database.upgrade()
    fleet = ff.Fleet(settings, database)
    sweep = fleet.sweep(
        **arguments(
            repeats=3,
            trials=16,
            epochs=6,
            max_running=6,
            name="seen",
            pruner={"name": "median", "n_startup_trials": 4},
        )
    )
    worker = StandIn(database)
    driver = sweep._drive()
    while not driver.step().is_done:
        worker.take(1000)
        worker.epoch()
    yield sweep
    fleet.close()
