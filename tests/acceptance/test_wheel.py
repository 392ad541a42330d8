"""The wheel that `make dist` builds has all that a fleet needs, away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import numpy as np
import fitfleet as ff

assert "site-packages" in ff.__file__, ff.__file__
np.savez("data.npz", x=np.ones((8, 2), "float32"), y=np.ones((8, 1), "float32"))
with ff.local(workers=1) as fleet:
    model = ff.Sequential([ff.layers.Input((2,)), ff.layers.Dense(1)])
    job = fleet.submit(model=model, dataset="data.npz", optimizer="sgd", loss="mse", epochs=1)
    print(job.wait(200).status)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` writes, from the tracked files alone: a build leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True, cwd=ROOT)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    # The stamp says that the packages are there, as in a checkout where the tests run.
    (source / ".venv").mkdir()
    for name in ("venv", "demo", "dev"):
        (source / ".venv" / f"{name}.stamp").touch()
    (source / ".venv" / "bin").mkdir()
    python = source / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    subprocess.run(["make", "dist"], check=True, cwd=source, capture_output=True, timeout=240)
    (built,) = (source / "dist").glob("fitfleet-*.whl")
    return built


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fitfleet").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there <= names
    assert all(name.startswith(("fitfleet/", "fitfleet-")) for name in names)


@pytest.mark.slow
def test_a_fleet_runs_in_an_environment_of_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    site = folder / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    with zipfile.ZipFile(wheel) as archive:  # a wheel of pure Python is installed by unpacking
        archive.extractall(site)
    # What it depends on is taken from here, after the wheel itself.
    paths = [path for path in sys.path if "site-packages" in path]
    (site / "dependencies.pth").write_text("\n".join(paths) + "\n")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [folder / "bin" / "python", *arguments], capture_output=True, text=True, check=True,
            cwd=tmp_path, timeout=280, env=environment,
        ).stdout  # fmt: skip

    assert run("-m", "fitfleet", "version").startswith("fitfleet ")
    assert run("-c", SCRIPT).strip().endswith("SUCCEEDED")
