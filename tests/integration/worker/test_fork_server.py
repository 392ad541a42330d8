"""Children that are forked from a process which has imported TensorFlow and run nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.processes import fitting_children, forking_child
from support.waiting import until

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet
from fitfleet.worker.process.fork_server import ForkServer, ForkServerError

# A fit by Keras, with dropout, a shuffle and an optimizer with state; its weights as hex.
_FIT = """
import hashlib, os, sys
from fitfleet.worker.process import device, fork_server

def fit() -> str:
    device.configure(2)
    import keras
    import numpy as np
    keras.utils.set_random_seed(7)
    x = np.random.default_rng(0).normal(size=(96, 12)).astype("float32")
    model = keras.Sequential([
        keras.Input((12,)), keras.layers.Dense(32, "relu"), keras.layers.Dropout(0.3),
        keras.layers.Dense(3),
    ])
    model.compile("adam", "mse")
    model.fit(x, x[:, :3], batch_size=16, epochs=2, verbose=0)
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()
"""
_ALONE = f"""{_FIT}
device.load(has_own_code=False)
print(fit())
"""
_FORKED = f"""{_FIT}
def run(payload, descriptors):
    os.write(descriptors[0], fit().encode())
    return 0

server = fork_server.ForkServer(lambda: device.load(has_own_code=False), run)
server.start()
for _ in range(int(sys.argv[1])):
    read_end, write_end = os.pipe()
    pid = server.fork(b"go", [write_end])
    os.close(write_end)
    assert os.waitpid(pid, 0)[1] == 0
    with os.fdopen(read_end) as answer:
        print(answer.read())
assert "tensorflow" not in sys.modules
"""


def _printed(code: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=1200)
    return done.stdout.split()


@pytest.mark.parametrize(
    "count", [2, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.exhaustive])]
)
def test_every_fork_fits_as_a_process_that_imports_by_itself(count: int) -> None:
    (alone,) = _printed(_ALONE)
    assert _printed(_FORKED, str(count)) == [alone] * count


def _answer(payload: bytes, descriptors: list[int]) -> int:
    os.write(descriptors[0], payload)
    return 3


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """One that imports nothing."""
    made = ForkServer(lambda: None, _answer)
    made.start()
    yield made
    made.close()
    assert not psutil.pid_exists(made.pid)


def _asked(server: ForkServer) -> tuple[int, bytes]:
    """The exit code of a child, and what it wrote."""
    read_end, write_end = os.pipe()
    pid = server.fork(b"hello", [write_end])
    os.close(write_end)
    assert psutil.Process(pid).ppid() == os.getpid()
    with os.fdopen(read_end, "rb") as answer:
        text = answer.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def test_a_child_gets_payload_and_descriptors_and_is_the_caller_s_own(server: ForkServer) -> None:
    assert _asked(server) == (3, b"hello")
    # Nothing is left open, whether here or there.
    before = [psutil.Process(pid).num_fds() for pid in (os.getpid(), server.pid)]
    assert [_asked(server) for _ in range(5)] == [(3, b"hello")] * 5
    assert [psutil.Process(pid).num_fds() for pid in (os.getpid(), server.pid)] == before
    assert psutil.Process(server.pid).children() == []


def test_a_server_that_was_killed_is_started_again(server: ForkServer) -> None:
    first = server.pid
    os.kill(first, signal.SIGKILL)
    assert _asked(server) == (3, b"hello")
    assert server.pid != first and not psutil.pid_exists(first)


@pytest.mark.slow
def test_one_that_hangs_is_replaced() -> None:
    made = ForkServer(lambda: None, _answer, still_s=(3600.0, 5.0))
    made.start()
    assert _asked(made) == (3, b"hello")
    first = made.pid
    os.kill(first, signal.SIGSTOP)
    assert _asked(made) == (3, b"hello")
    assert made.pid != first and not psutil.pid_exists(first)
    made.close()


def test_one_whose_import_uses_no_time_is_no_hang() -> None:
    broken = ForkServer(signal.pause, _answer, still_s=(0.3, 3600.0))
    broken.start()
    with pytest.raises(ForkServerError, match="does not answer"):
        broken.fork(b"", [])
    broken.close()


@pytest.mark.parametrize("warm", [lambda: os._exit(1), signal.pause], ids=["dies", "hangs"])
def test_one_that_cannot_import_is_no_hang(warm: Callable[[], None]) -> None:
    broken = ForkServer(warm, _answer, answer_s=0.3)
    broken.start()
    with pytest.raises(ForkServerError, match="does not answer"):
        broken.fork(b"", [])
    broken.close()


def test_a_wait_for_the_import_can_be_ended() -> None:
    def check() -> None:
        raise KeyboardInterrupt

    slow = ForkServer(signal.pause, _answer, check)
    slow.start()
    with pytest.raises(KeyboardInterrupt):
        slow.fork(b"", [])
    slow.close()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    """Two workers, the slots of one service."""
    times: dict[str, Any] = {"heartbeat_s": 0.5, "lease_s": 3.0, "backoff_s": 0.1}
    with ff.local(2, tmp_path_factory.mktemp("fleet"), **times) as fleet:
        yield fleet


def _maps(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/maps").read_text()


def test_only_children_of_the_service_have_tensorflow(
    local: LocalFleet, job: dict[str, Any]
) -> None:
    local.submit(**job, experiment="warm").wait(120, raise_on_failure=True)
    (service,) = map(psutil.Process, local.worker_pids)
    assert "tensorflow" not in _maps(service)
    assert "tensorflow" in _maps(forking_child(service))
    until(lambda: len(fitting_children(service)) == 2)
    assert all("tensorflow" in _maps(child) for child in fitting_children(service))
    # TensorFlow's threads are made by its first operation; OpenBLAS has one a core at most.
    assert forking_child(service).num_threads() <= (os.cpu_count() or 1)


def test_jobs_continue_after_a_kill_of_what_forks_and_of_what_fits(
    local: LocalFleet, job: dict[str, Any]
) -> None:
    local.submit(**job, experiment="before").wait(120, raise_on_failure=True)
    (service,) = map(psutil.Process, local.worker_pids)
    killed = service.children()
    for process in killed:
        process.kill()
    done = local.submit(**{**job, "seed": 5}, experiment="after").wait(120, raise_on_failure=True)
    assert service.is_running() and not set(killed) & set(fitting_children(service))
    assert done.attempts[-1]["outcome"] == "succeeded"


@pytest.mark.slow
def test_jobs_continue_when_what_forks_hangs(local: LocalFleet, job: dict[str, Any]) -> None:
    local.submit(**{**job, "seed": 7}, experiment="before").wait(120, raise_on_failure=True)
    (service,) = map(psutil.Process, local.worker_pids)
    forking, killed = forking_child(service), fitting_children(service)
    forking.suspend()
    for process in killed:
        process.kill()
    done = local.submit(**{**job, "seed": 8}, experiment="after").wait(240, raise_on_failure=True)
    assert done.attempts[-1]["outcome"] == "succeeded"
    assert not forking.is_running() and forking_child(service) != forking


def test_nothing_is_left_of_a_service_that_was_killed(
    local: LocalFleet, job: dict[str, Any]
) -> None:
    local.submit(**{**job, "seed": 6}, experiment="end").wait(120, raise_on_failure=True)
    (service,) = map(psutil.Process, local.worker_pids)
    family = service.children()
    service.kill()
    assert psutil.wait_procs(family, timeout=10)[1] == []
