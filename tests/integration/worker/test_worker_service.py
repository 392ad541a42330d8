"""A real worker service: its parent stays light, its children are replaced without loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.processes import fitting_children
from support.waiting import until

import fitfleet as ff
from fitfleet.embedded.fleet import LocalFleet

HERE = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    """One worker whose child is replaced after every job."""
    settings: dict[str, Any] = {
        "child_growth_bytes": 2**20,  # which any first fit takes
        "heartbeat_s": 0.5,
        "drain_s": 3.0,
        "trusted_modules": ["scoring"],
        "module_path": [HERE],
    }
    with ff.local(1, tmp_path_factory.mktemp("fleet"), **settings) as fleet:
        yield fleet


def _service(fleet: ff.Fleet, job: ff.Job) -> psutil.Process:
    worker = job.attempts[-1]["worker"]
    return psutil.Process(int(worker.split(":")[1]))


def _has_tensorflow(process: psutil.Process) -> bool:
    return "tensorflow" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.slow
def test_children_are_replaced_and_no_job_is_lost(local: ff.Fleet, job: dict[str, Any]) -> None:
    seen = set()
    for seed in range(3):  # a child is looked at before or after it is replaced
        done = local.submit(**{**job, "seed": seed}, experiment="grown").wait(120)
        assert done.status is ff.JobStatus.SUCCEEDED, done.error
        assert [a["outcome"] for a in done.attempts] == ["succeeded"]
        service = _service(local, done)
        seen |= {child.pid for child in fitting_children(service)}
        assert not _has_tensorflow(service)
    assert len(seen) >= 2


@pytest.mark.slow
def test_a_fit_that_hangs_is_ended_with_its_child(local: ff.Fleet, job: dict[str, Any]) -> None:
    hung = local.submit(
        **job,
        evaluators=["scoring:endless"],
        stall_timeout_s=8.0,
        max_failures=1,
        experiment="hung",
    ).wait(120)
    assert hung.status is ff.JobStatus.FAILED
    assert [a["outcome"] for a in hung.attempts] == ["stalled"]
    assert "no progress for 8 s" in str(hung.error)
    after = local.submit(**job, experiment="after").wait(120)
    assert after.status is ff.JobStatus.SUCCEEDED, after.error


@pytest.mark.slow
def test_an_unresponsive_child_delays_the_end_of_its_service_by_drain_s(
    local: LocalFleet, job: dict[str, Any]
) -> None:
    unresponsive = local.submit(**job, evaluators=["scoring:endless"], experiment="drained")
    until(
        lambda: unresponsive.refresh().status is ff.JobStatus.RUNNING and unresponsive.history.size
    )
    service = _service(local, unresponsive)
    service.terminate()
    psutil.wait_procs([service], timeout=30)
    assert not service.is_running()
    # Its successor starts here, and not under the environment of the next test.
    until(lambda: local.worker_pids not in ([], [service.pid]))
    until(lambda: unresponsive.refresh().attempts[0]["outcome"] == "released")
    assert unresponsive.refresh().row.failures == 0
    unresponsive.cancel()
    unresponsive.wait(120)


def test_the_log_of_a_job_has_its_epochs(local: ff.Fleet, job: dict[str, Any]) -> None:
    done = local.submit(**job, experiment="log").wait(120)
    lines = [line for line in str(done.logs()).splitlines() if line.startswith("Epoch")]
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert "val_loss: " in lines[0]
    assert lines[-1] in done.attempts[-1]["log_tail"]
    (service,) = Path(local.settings.logs).glob("worker-1-of-*.log")
    told = service.read_text()
    assert re.search(rf"INFO +job {done.id} of log started: attempt 1, from epoch 0", told)
    until(lambda: f"job {done.id} of log succeeded: 3 epochs" in service.read_text())
    assert "worker started: fitfleet" in told and "/cpu0" in told and "Epoch" not in told


@pytest.mark.slow
def test_temporary_files_go_with_the_service(
    tmp_path: Path, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow leaves a file for each function it traces; a killed process removes none."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    # Trained by Keras's fit, for these two do not go together elsewhere.
    job |= {"steps_per_execution": 5, "callbacks": ["TerminateOnNaN"]}
    left = []
    for name in ("killed", "drained"):
        with ff.local(1, tmp_path / "fleet") as fleet:
            done = fleet.submit(**job, experiment=name).wait(120)
            assert done.status is ff.JobStatus.SUCCEEDED, done.error
            (used,) = temporary.glob("fitfleet-worker-*")
            assert any(used.glob("child-*/*.py")), "nothing was traced: this test sees nothing"
            left.append(used)
            if name == "killed":
                service = _service(fleet, done)
                # Whoever still ends holds the lock by which the next service knows these files.
                processes = [service, *service.children(recursive=True)]
                for process in processes:
                    process.kill()
                psutil.wait_procs(processes, timeout=60)
    assert left[0] != left[1]
    assert not any(temporary.glob("*fitfleet-worker-*"))
