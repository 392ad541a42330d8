"""Alembic's env.py outside of Alembic."""

from __future__ import annotations

import importlib


def test_importing_the_environment_of_alembic_runs_no_migration() -> None:
    assert importlib.import_module("fitfleet.db.migrations.env").migrate
