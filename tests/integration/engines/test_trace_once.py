"""Of two processes that need a program at the same time, one traces it and the other waits."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow as tf

from fitfleet.worker.engines.programs.functions import Functions, Tracing
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.programs.trace_lock import TraceLock

_CHILD = """
import hashlib, json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import ledger, nets
from fitfleet.worker.engines.programs import functions
from fitfleet.worker.engines.single_job.loop import LoopFit
from fitfleet.worker.engines.programs.program_store import ProgramStore
from fitfleet.worker.engines.speeds import Speeds

made, trace = [], functions._traced
functions._traced = lambda *given: made.append(given) or trace(*given)
net, folder = nets.mlp(), Path(sys.argv[1])
given = {"epochs": 2, "batch_size": 16, **net.given}
spec = ledger.spec(net.build(), seed=1, **given)
speeds = Speeds(folder)
speeds.once_s = lambda *given, **named: 300.0  # so that a slow machine is waited for
way = LoopFit(ledger.SETTINGS, speeds, store=ProgramStore(folder / "programs", 2**28))
print("ready", flush=True)
sys.stdin.readline()
done = ledger.train(way, [ledger.prepared(spec, net.arrays, 1)])
for error in done.errors.values():
    raise error
digest = hashlib.sha256(b"".join(value.tobytes() for value in done.weights[1])).hexdigest()
print(json.dumps({"traces": len(made), "digest": digest}))
"""


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD, str(folder), str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.slow
def test_one_of_two_processes_traces(tmp_path: Path) -> None:
    children = [_start(tmp_path) for _ in range(2)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    reports = []
    for child in children:
        written, _ = child.communicate(timeout=300)
        reports.append(json.loads(written.splitlines()[-1]))
    assert sorted(report["traces"] == 0 for report in reports) == [False, True]
    assert reports[0]["digest"] == reports[1]["digest"]
    left = [path.suffix for path in (tmp_path / "programs").iterdir()]
    assert left and set(left) == {".program"}


@pytest.mark.slow
def test_a_tracer_that_was_killed_is_followed_by_another(tmp_path: Path) -> None:
    """It holds its lock when it is killed; the other one has waited, and traces."""
    first, second = _start(tmp_path), _start(tmp_path)
    programs = tmp_path / "programs"
    assert first.stdin is not None and second.stdin is not None
    first.stdin.write("\n")
    first.stdin.flush()
    deadline = time.monotonic() + 300
    while not list(programs.glob("*.tracing")) and time.monotonic() < deadline:
        time.sleep(0.01)
    second.stdin.write("\n")
    second.stdin.flush()
    first.kill()
    first.communicate()
    written, _ = second.communicate(timeout=300)
    assert json.loads(written.splitlines()[-1])["traces"] > 0
    assert TraceLock(programs, "x").age_s() is None


def test_the_lock_is_held_until_all_functions_are_stored(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path / "programs", 2**28)
    signature = [tf.TensorSpec((), tf.float32)]

    def functions() -> Functions:
        return Functions(store, "key", tracing=Tracing(store.tracing("loop", "key"), 300.0))

    def is_locked() -> bool:
        return store.tracing("loop", "key").age_s() is not None

    made = functions()
    twice = made.make("twice", lambda x: x * 2.0, signature)
    thrice = made.make("thrice", lambda x: x * 3.0, signature)
    assert is_locked()
    assert float(twice(tf.constant(2.0))) == 4.0 and is_locked()
    assert float(thrice(tf.constant(2.0))) == 6.0 and not is_locked()
    again = functions().make("twice", lambda x: x * 5.0, signature)
    assert float(again(tf.constant(2.0))) == 4.0 and not is_locked()
    with pytest.raises(ValueError, match="None values"):
        functions().make("none", lambda x: None + x, signature)
    assert not is_locked()
    assert {path.suffix for path in (tmp_path / "programs").iterdir()} == {".program"}
