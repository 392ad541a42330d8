"""A fleet whose hosts share nothing but database, broker and a bucket, and what a bucket does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.fits import assert_equal, child_of, files, outcomes, until_checkpoint
from support.s3 import CREDENTIALS, S3, Proxy
from support.servers import Postgres, Valkey
from support.waiting import until
from whole_fleet import WholeFleet, paused_job

import fitfleet as ff
from fitfleet.objects import store
from fitfleet.objects.store import ObjectStore
from fitfleet.settings import Settings


class RemoteFleet(WholeFleet):
    """Its workers are hosts of their own: each has its cache and its logs."""

    hosts = 0

    def start_host(self) -> None:
        """The next host; the one before is gone."""
        self.hosts += 1
        folder = self.folder / f"host-{self.hosts}"
        places = {name: str(folder / name) for name in ("cache", "logs")}
        self.start("worker", settings=self.settings.replace(**places))
        self.until_workers(1)

    @property
    def objects(self) -> ObjectStore:
        objects = store.of(self.settings)
        assert objects is not None
        return objects

    def command(self, *arguments: str) -> str:
        """What `fitfleet` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "fitfleet", *arguments],
            env={**os.environ, **self.settings.to_environment()},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def proxy(s3_server: S3) -> Iterator[Proxy]:
    """The way of all services to the bucket."""
    proxy = Proxy(s3_server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.endpoint}.items():
            patch.setenv(name, value)
        yield proxy
    proxy.close()
    store._systems.clear()


@pytest.fixture(scope="module")
def remote(
    proxy: Proxy, postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RemoteFleet]:
    folder = tmp_path_factory.mktemp("remote")
    valkey = Valkey(folder)
    valkey.start()
    fleet = RemoteFleet(
        folder, postgres_server, valkey, storage="s3://fleet/faults", storage_retry_s=2.0
    )
    try:
        fleet.start("scheduler")
        fleet.start_host()
        yield fleet
    finally:
        proxy.set()
        fleet.close()
        valkey.stop()


@pytest.fixture(scope="module")
def straight_remote(remote: RemoteFleet, series: Path) -> ff.Job:
    """The job that nothing happens to. Its arrays reach the workers by the bucket, as its code."""
    remote.pace(0.0)
    return remote.client.submit(**_job(series), experiment="straight").wait(120)


def _job(series: Path) -> dict[str, object]:
    with h5py.File(series) as file:
        parts = {name: file[name][()] for name in file}
    train, validation = ((parts[f"x_{p}"], parts[f"y_{p}"]) for p in ("train", "val"))
    return paused_job(series, epochs=20) | {"dataset": train, "validation_data": validation}


@pytest.mark.slow
def test_a_killed_fit_is_resumed_on_another_host(
    remote: RemoteFleet, straight_remote: ff.Job, series: Path
) -> None:
    assert straight_remote.status is ff.JobStatus.SUCCEEDED, straight_remote.error
    remote.pace(0.1)
    job = remote.client.submit(**_job(series), experiment="killed")
    until_checkpoint(job)
    remote.kill("worker")
    remote.start_host()
    remote.pace(0.0)
    job.wait(120)
    assert outcomes(job) == ["lost", "succeeded"]
    assert job.attempts[1]["first_epoch"] >= 3
    assert_equal(job, straight_remote)


@pytest.mark.slow
def test_what_comes_after_a_fit_needs_no_shared_folder(
    remote: RemoteFleet, straight_remote: ff.Job, series: Path
) -> None:
    x = np.ones((5, 8, 3), "float32")
    by_worker = straight_remote.predict(x, where="fleet")
    np.testing.assert_allclose(by_worker, straight_remote.predict(x, where="here"), rtol=1e-5)
    started = {**_job(series), "epochs": 1, "initial_weights": straight_remote}
    next_job = remote.client.submit(**started, experiment="next").wait(120)
    assert next_job.status is ff.JobStatus.SUCCEEDED, next_job.error
    used = json.loads(remote.command("du", "--json"))
    weights = {row["experiment"]: row["weights_bytes"] for row in used["experiments"]}
    assert weights["straight"] == straight_remote.weights_path.stat().st_size
    assert "s3://fleet/faults: writable" in remote.command("doctor")
    remote.command("rm", str(next_job.id), "--yes")
    assert files(next_job) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["busy", "denied", "dropped", "lost"])
def test_a_bucket_that_refuses_costs_no_epoch(
    fault: str, remote: RemoteFleet, proxy: Proxy, straight_remote: ff.Job, series: Path
) -> None:
    remote.pace(0.1)
    job = remote.client.submit(**_job(series), experiment=fault, max_failures=1)
    until_checkpoint(job)
    proxy.set(PUT=fault)
    until(lambda: outcomes(job)[:1] == ["storage"], timeout_s=60)
    checkpoint = job.refresh().row.checkpoint_epoch
    assert checkpoint is not None and checkpoint >= 3
    message = job.attempts[0]["message"]
    assert "s3://fleet/faults/" in message and "cannot be written" in message
    assert "\n" not in message and "s3cret" not in json.dumps(job.attempts, default=str)
    proxy.set()
    remote.pace(0.0)
    job.wait(120)
    assert {attempt["outcome"] for attempt in job.attempts[:-1]} == {"storage"}
    assert_equal(job, straight_remote)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [3, 1_000_000])
def test_a_checkpoint_that_comes_in_half_is_read_again(
    cut: int, remote: RemoteFleet, proxy: Proxy, straight_remote: ff.Job, series: Path
) -> None:
    remote.pace(0.1)
    job = remote.client.submit(**_job(series), experiment=f"cut-{cut}")
    until_checkpoint(job)
    remote.kill("worker")
    proxy.set(left=cut, GET="cut")
    remote.pace(0.0)
    remote.start_host()
    if cut > 100:
        until(lambda: "storage" in outcomes(job), timeout_s=60)
        assert "cannot be read" in job.attempts[1]["message"]
        proxy.set()
    job.wait(120)
    assert_equal(job, straight_remote)


@pytest.mark.slow
def test_what_a_zombie_puts_is_never_in_effect(
    remote: RemoteFleet, proxy: Proxy, straight_remote: ff.Job, series: Path
) -> None:
    """Frozen in the middle of an upload, it wakes up when the job has ended elsewhere."""
    remote.pace(0.1)
    job = remote.client.submit(**_job(series), experiment="zombie")
    until_checkpoint(job)
    zombie = [child_of(job).pid, remote.worker_pid]
    log = remote.folder / f"host-{remote.hosts}" / "logs" / str(job.id) / "attempt-1.log"
    proxy.set(left=1, PUT=3.0)
    until(lambda: proxy.left == 0)
    for pid in zombie:
        os.kill(pid, signal.SIGSTOP)
    service = remote._processes.pop("worker-main")
    try:
        remote.pace(0.0)
        remote.start_host()
        job.wait(120)
        path = str(job.refresh().row.artifact_path)
    finally:
        for pid in zombie:
            os.kill(pid, signal.SIGCONT)
        remote._processes["zombie"] = service  # ends with the fleet
    until(lambda: "lost: its lease ended" in log.read_text())
    assert job.refresh().row.artifact_path == path and "attempt-2" in path
    assert outcomes(job) == ["lost", "succeeded"]
    # The winner has removed its checkpoints, and the zombie what it has put.
    assert_equal(job, straight_remote)


@pytest.mark.slow
def test_gc_takes_what_no_job_points_to(
    remote: RemoteFleet, straight_remote: ff.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fitfleet.scheduler import orphans
    from fitfleet.scheduler.retention import Policy, collect

    stray = f"straight/{straight_remote.id}/attempt-9.{'0a' * 16}.weights.h5"
    remote.objects.put(straight_remote.weights_path, stray)
    remote.objects.create(f"datasets/{'0' * 64}.h5", b"rows of nobody")

    def collected(policy: Policy, settings: Settings = remote.settings) -> set[str]:
        return {file.path for file in collect(remote.database, settings, policy)}

    assert stray not in collected(Policy())  # it may be one that a worker is just writing
    monkeypatch.setattr(orphans, "_YOUNG_S", -3600.0)
    gone = collected(Policy())
    assert {stray, f"datasets/{'0' * 64}.h5"} <= gone
    assert straight_remote.row.artifact_path not in gone
    assert straight_remote.spec.dataset.path.removeprefix("storage:") not in gone
    assert not gone & {file.path for file in remote.objects.files()}
    assert straight_remote.row.artifact_path in collected(Policy(best=0), remote.settings)
    with pytest.raises(ff.FitfleetError, match="has no weights"):
        _ = straight_remote.refresh().weights_path
