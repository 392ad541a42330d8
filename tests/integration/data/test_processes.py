"""Several processes on one cache, and the memory of one that streams."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from fitfleet.settings import Settings

FILL = """
import sys, json
from fitfleet.data.arrays import load
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec
settings = Settings(data_root=sys.argv[1], cache=sys.argv[2])
sys.stdin.readline()
arrays = load(DatasetSpec(path="big.h5"), settings)
print(json.dumps([float(arrays.x.sum(dtype="f8")), float(arrays.y.sum()), arrays.fingerprint]))
"""

STREAM = """
import sys, json
import numpy as np
from pathlib import Path
from fitfleet.data.arrays import load, Stream
from fitfleet.settings import Settings
from fitfleet.spec.job import DatasetSpec
settings = Settings(data_root=sys.argv[1], cache=sys.argv[2], memory_bytes=32 * 2**20)
import h5py
def peak():  # of this program alone; getrusage would count what its parent had before the fork
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
before = peak()
x = load(DatasetSpec(path="big.h5"), settings).x
assert isinstance(x, Stream)
order = np.random.default_rng(0).permutation(len(x))
total = 0.0
for start in range(0, len(x), 64):
    total += float(x.take(order[start : start + 64]).sum(dtype="f8"))
print(json.dumps([total, peak() - before, x.nbytes]))
"""


def _make(folder: Path, rows: int, columns: int) -> np.ndarray:
    data = np.random.default_rng(0).integers(0, 9, (rows, columns)).astype(np.float32)
    with h5py.File(folder / "big.h5", "w") as file:
        file.create_dataset("x", data=data, chunks=(64, columns))
        file["y"] = np.arange(rows)
    return data


def test_processes_that_fill_the_cache_at_once_agree(tmp_path: Path) -> None:
    data = _make(tmp_path, 4000, 1000)
    cache = tmp_path / "cache"
    arguments = [sys.executable, "-c", FILL, str(tmp_path), str(cache)]
    started = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    answers = [json.loads(process.communicate("go\n")[0]) for process in started]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][:2] == [float(data.sum(dtype="f8")), float(np.arange(4000).sum())]
    stored = list(cache.glob("arrays/*/*"))
    assert len(stored) == 2 and all(path.suffix == ".npy" for path in stored)
    assert sum(path.stat().st_size for path in stored) < Settings().cache_bytes


def test_a_killed_writer_leaves_a_cache_that_works(tmp_path: Path) -> None:
    _make(tmp_path, 4000, 1000)
    arguments = [sys.executable, "-c", FILL, str(tmp_path), str(tmp_path / "cache")]
    for delay_s in (0.01, 0.03, 0.05):
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            process.communicate("go\n", timeout=delay_s + 0.3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
    done = subprocess.run(arguments, input="go\n", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)[1] == float(np.arange(4000).sum())


@pytest.mark.slow
def test_streaming_needs_a_fraction_of_the_file(tmp_path: Path) -> None:
    data = _make(tmp_path, 20_000, 4000)  # 320 MB against a limit of 32
    arguments = [sys.executable, "-c", STREAM, str(tmp_path), str(tmp_path / "cache")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    total, growth_bytes, nbytes = json.loads(done.stdout)
    assert total == float(data.sum(dtype="f8"))
    assert nbytes == 320_000_000
    assert growth_bytes < nbytes / 4, f"grew by {growth_bytes:,} bytes"


def test_reading_data_loads_no_tensorflow_and_sets_hdf5_free_of_locks(tmp_path: Path) -> None:
    code = """
import sys, os
import fitfleet.data.arrays
import fitfleet.data.checks.compatibility
import fitfleet.data.description.description
assert os.environ["HDF5_USE_FILE_LOCKING"] == "FALSE"
for name in ("tensorflow", "keras", "pandas", "sklearn", "pyarrow", "h5py"):
    assert name not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", code], check=True)
