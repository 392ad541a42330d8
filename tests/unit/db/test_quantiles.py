"""The table of a new database that is kept instead of computed."""

import subprocess
import sys
from pathlib import Path

import pytest
from scipy.special import stdtrit

from fitfleet.db.migrations.quantiles import t975

_NEW_DATABASE = """
import sys
from fitfleet.db.session import Database
Database("sqlite:///" + sys.argv[1]).upgrade()
print("scipy" in sys.modules)
"""


def test_they_are_those_of_scipy() -> None:
    assert t975() == pytest.approx([float(stdtrit(df, 0.975)) for df in range(1, 1000)], rel=1e-14)


def test_a_new_database_needs_no_scipy(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _NEW_DATABASE, f"{tmp_path}/new.db"]
    assert subprocess.check_output(command, text=True).strip() == "False"
