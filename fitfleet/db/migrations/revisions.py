"""The migrations there are, by the names of their files.

Alembic itself takes as long to import as a short command takes, and is needed to upgrade only.
"""

from __future__ import annotations

import importlib.resources
import re

MIGRATIONS = importlib.resources.files("fitfleet.db") / "migrations"


def changes_since(version: str | None) -> list[tuple[str, str]]:
    """(revision, what it does) of every migration that a database at `found` has not had."""
    rows = []
    for path in sorted((MIGRATIONS / "versions").iterdir(), key=lambda file: file.name):
        revision = path.name[1:5]
        if re.match(r"v\d{4}_", path.name) and revision > (version or ""):
            text = path.read_text(encoding="utf-8")
            rows.append((revision, text.partition('"""')[2].partition('"""')[0].strip()))
    return rows


def newest_version() -> str:
    """The Alembic revision this version of fitfleet works with."""
    names = [path.name for path in (MIGRATIONS / "versions").iterdir()]
    return max(name[1:5] for name in names if re.match(r"v\d{4}_", name))
