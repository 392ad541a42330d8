"""The wheel that `make dist` builds has all that a fleet needs, away from the checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SCRIPT = """
import numpy as np
import fitfleet as ff

assert "site-packages" in ff.__file__, ff.__file__
np.savez("data.npz", x=np.ones((8, 2), "float32"), y=np.ones((8, 1), "float32"))
with ff.local(workers=1) as fleet:
    model = ff.Sequential([ff.layers.Input((2,)), ff.layers.Dense(1)])
    job = fleet.submit(model=model, dataset="data.npz", optimizer="sgd", loss="mse", epochs=1)
    print(job.wait(120).status)
"""


def test_a_wheel_runs_a_fleet_in_a_clean_environment(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", tmp_path, _copy(tmp_path)], check=True, timeout=180)
    (wheel,) = tmp_path.glob("fitfleet-*.whl")
    venv.create(tmp_path / "venv", with_pip=False)
    site = tmp_path / "venv" / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, timeout=120)
    # What the wheel depends on is taken from here, after the wheel itself.
    here = sysconfig.get_path("purelib")
    (site / "dependencies.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    python = tmp_path / "venv" / "bin" / "python"
    version = [python, "-m", "fitfleet", "version"]
    done = subprocess.run(version, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("fitfleet ")
    run = [python, "-c", _SCRIPT]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, timeout=240)
    assert done.stdout.strip().endswith("SUCCEEDED"), done.stderr


def _copy(folder: Path) -> Path:
    """The tracked files alone: a build leaves folders behind where it runs."""
    source = folder / "source"
    source.mkdir()
    names = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    return source
