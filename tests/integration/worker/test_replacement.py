"""A grown child is replaced by one that was warm before it left, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.processes import fitting_children
from support.waiting import until

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet

pytestmark = pytest.mark.slow

HERE = str(Path(__file__).parent)
GROWTH = 2**30
HOARD = int(0.75 * GROWTH)  # enough for a replacement, too little to leave by itself


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def local(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalFleet]:
    """One worker of one slot, its children replaced by the rule for CPUs or for GPUs."""
    settings: dict[str, Any] = {
        "child_growth_bytes": GROWTH,
        "heartbeat_s": 0.5,
        "lease_s": 3.0,
        "recover_s": 0.5,
        "backoff_s": 0.1,
        "trusted_modules": ["scoring"],
        "module_path": [HERE],
    }
    is_gpu = request.param == "gpu"
    with ff.local(0 if is_gpu else 1, tmp_path_factory.mktemp("fleet"), **settings) as fleet:
        if not is_gpu:
            yield fleet
            return
        environment = {**os.environ, **fleet.settings.to_environment()}
        script = [sys.executable, str(Path(HERE) / "worker_with_gpu_rule.py")]
        with subprocess.Popen(script, env=environment, start_new_session=True) as service:
            yield fleet
            service.terminate()


@dataclass
class Swap:
    """A grown child that is held in a job, and its replacement, which is warm."""

    old: psutil.Process
    new: psutil.Process
    held: ff.Job
    gate: Path


@pytest.fixture
def swap(local: LocalFleet, job: dict[str, Any], tmp_path: Path) -> Swap:
    """The state before the swap."""
    gate = tmp_path / "gate"
    # The gate makes it a new job for each test.
    arguments = {"bytes": HOARD, "gate": str(gate)}
    grow = [{"path": "scoring:hoarded", "arguments": arguments}]
    grown = local.submit(**job, evaluators=grow, experiment="grow")
    # It waits already: a child without a job would leave as soon as its replacement is warm.
    held = local.submit(**_held(job, gate), experiment="held")
    grown.wait(120, raise_on_failure=True)
    pid = gate.with_suffix(".pid")
    until(lambda: pid.exists() and pid.read_text() != "")
    old = psutil.Process(int(pid.read_text()))
    parent = old.parent()
    assert parent is not None

    def warm() -> list[psutil.Process]:
        return [child for child in fitting_children(parent) if child != old and _is_warm(child)]

    until(lambda: len(warm()) == 1)
    return Swap(old, warm()[0], held, gate)


def _held(job: dict[str, Any], gate: Path) -> dict[str, Any]:
    """A job that waits for a file. Of another batch size, so that no cohort has both kinds."""
    evaluators = [{"path": "scoring:held", "arguments": {"until": str(gate)}}]
    return {**job, "batch_size": 4, "evaluators": evaluators}


def _is_warm(process: psutil.Process) -> bool:
    """It has TensorFlow, and nothing more to do."""
    try:
        if "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text():
            return False
        before = process.cpu_times()
        time.sleep(1.0)
        return bool(process.cpu_times() == before)
    except (OSError, psutil.NoSuchProcess):
        return False


def _is_up(process: psutil.Process) -> bool:
    """It has not ended, whether or not its parent has asked for its exit status."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _ran_in(job: ff.Job) -> int:
    return int(job.wait(120, raise_on_failure=True).scores["pid"])


def test_the_replacement_is_warm_while_the_old_child_still_has_a_job(
    local: LocalFleet, job: dict[str, Any], swap: Swap
) -> None:
    after = local.submit(**_held(job, swap.gate), experiment="after")
    assert swap.old.is_running()
    swap.gate.touch()
    assert _ran_in(swap.held) == swap.old.pid
    # Nothing but a replacement that is ready makes a child leave that has grown so little.
    assert _ran_in(after) == swap.new.pid
    until(lambda: not swap.old.is_running())
    parent = swap.new.parent()
    assert parent is not None and fitting_children(parent) == [swap.new]
    # One slot: its two children had one job at a time.
    assert after.attempts[0]["worker"] == swap.held.attempts[0]["worker"]
    assert after.attempts[0]["started_at"] >= swap.held.attempts[0]["ended_at"]


def test_a_replacement_takes_over_from_a_killed_child(swap: Swap) -> None:
    os.kill(swap.old.pid, signal.SIGKILL)
    swap.gate.touch()
    assert _ran_in(swap.held) == swap.new.pid
    assert [a["outcome"] for a in swap.held.attempts] == ["lost", "succeeded"]


def test_a_killed_replacement_is_followed_by_another(
    local: LocalFleet, job: dict[str, Any], swap: Swap
) -> None:
    os.kill(swap.new.pid, signal.SIGKILL)
    until(lambda: not swap.new.is_running())
    swap.gate.touch()
    assert _ran_in(swap.held) == swap.old.pid
    until(lambda: not swap.old.is_running())
    after = _ran_in(local.submit(**_held(job, swap.gate), experiment="after"))
    assert after not in (swap.old.pid, swap.new.pid)


def test_a_draining_service_ends_both_children(swap: Swap) -> None:
    service = swap.old.parent()
    assert service is not None
    service.terminate()
    swap.gate.touch()
    assert _ran_in(swap.held) == swap.old.pid
    until(lambda: not any(_is_up(process) for process in (service, swap.old, swap.new)))
