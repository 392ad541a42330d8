"""The committed table of Keras's names is that of the installed Keras."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fitfleet.spec
from fitfleet.spec.number_forms import shortest

TABLE = Path(fitfleet.spec.__file__).with_name("keras_names") / "signatures.json"
PROGRAM = (
    "import json; from fitfleet.spec.keras_names.make_signatures import signatures; "
    "print(json.dumps(signatures(), sort_keys=True))"
)


@pytest.mark.slow
def test_the_table_equals_the_installed_keras() -> None:
    """In a process of its own, since Keras counts the names it makes up."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads(TABLE.read_text())


def test_the_spec_modules_load_nothing_heavy() -> None:
    program = (
        "import sys, pkgutil, importlib, fitfleet.spec, fitfleet.sweeps.spaces.space\n"
        "for found in pkgutil.iter_modules(fitfleet.spec.__path__):\n"
        "    importlib.import_module(f'fitfleet.spec.{found.name}')\n"
        "heavy = {'numpy', 'pandas', 'tensorflow', 'keras', 'yaml', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("stored", "written"),
    [
        (0.0010000000474974513, 0.001),
        (0.10000000149011612, 0.1),
        (0.5, 0.5),
        (0.001, 0.001),
        (1e-7, 1e-7),
        (1e300, 1e300),
        (float("inf"), float("inf")),
    ],
)
def test_a_float32_is_written_as_its_user_wrote_it(stored: float, written: float) -> None:
    assert shortest(stored) == written
