"""What is stored of a value, and what a migration must not forget."""

from __future__ import annotations

import math

import pytest
from alembic.script import ScriptDirectory

from fitfleet.db.attempts.metrics import _storable
from fitfleet.db.dialect import storable_text
from fitfleet.db.fleet.capacity import QueueLoad
from fitfleet.db.migrations.migrate import alembic_config
from fitfleet.db.migrations.revisions import newest_version
from fitfleet.db.schema.tables import metadata
from fitfleet.db.schema.views import COLUMNS, definitions
from fitfleet.db.session import Database


def test_text_that_no_database_holds_is_replaced() -> None:
    assert storable_text("a\x00b\ud800c ä\n") == "ab?c ä\n"


@pytest.mark.parametrize("value", [1.0, 0.0, -2.5, math.inf, 1e300])
def test_a_number_is_stored_as_it_is(value: float) -> None:
    assert _storable(value) == value


def test_nan_is_stored_as_null() -> None:
    assert _storable(math.nan) is None


def test_a_queue_has_no_fewer_than_no_free_slots() -> None:
    assert QueueLoad("cpu", slots=2, running=5, dispatched=0).free == 0
    assert QueueLoad("cpu", slots=2, running=1, dispatched=4).free == 1


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_view_is_defined_and_shadows_no_table(dialect: str) -> None:
    assert sorted(definitions(dialect)) == sorted(COLUMNS)
    assert not set(COLUMNS) & set(metadata.tables)


def test_the_url_of_messages_has_no_password() -> None:
    for url in (
        "postgresql://me:geheim@host/fleet",
        "postgresql://host/fleet?user=me&password=geheim",
    ):
        assert "geheim" not in Database(url).place


def test_the_newest_version_is_the_one_that_alembic_upgrades_to() -> None:
    assert newest_version() == ScriptDirectory.from_config(alembic_config()).get_current_head()
