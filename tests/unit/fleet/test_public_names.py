"""What `import fitfleet` costs and offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fitfleet

_HEAVY = ["tensorflow", "keras", "pandas", "celery", "sqlalchemy", "h5py", "rich", "typer"]


def test_every_public_name_is_there() -> None:
    for name in fitfleet.__all__:
        assert getattr(fitfleet, name) is not None
    assert set(fitfleet.__all__) <= set(dir(fitfleet))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        _ = fitfleet.sweeep


def test_the_import_loads_nothing_heavy() -> None:
    code = f"import sys, fitfleet; print([m for m in {_HEAVY} if m in sys.modules])"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert imported.stdout.strip() == "[]", imported.stdout + imported.stderr


def test_a_client_that_connects_and_compares_loads_no_tensorflow() -> None:
    code = (
        "import sys, fitfleet as ff;"
        "ff.connect, ff.local, ff.Job, ff.Sequential, ff.layers.LSTM(3), ff.choice, ff.Dataset;"
        "import fitfleet.cli.main, fitfleet.queue;"
        "print([m for m in ['tensorflow', 'keras', 'celery.worker', 'pandas'] if m in sys.modules])"
    )
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert imported.stdout.strip() == "[]", imported.stdout + imported.stderr
