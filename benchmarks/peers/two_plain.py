"""The plain loop in two processes at once, half of the points each."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import workload

if __name__ == "__main__":
    task = workload.task()
    script = str(Path(__file__).with_name("plain.py"))
    with tempfile.TemporaryDirectory() as folder:
        processes, outs = [], []
        for half in (0, 1):
            given = Path(folder) / f"points-{half}.json"
            given.write_text(json.dumps(task.points[half::2]))
            outs.append(Path(folder) / f"out-{half}.json")
            command = [sys.executable, script, "--model", task.model, "--data", task.data]
            command += ["--points", str(given), "--out", str(outs[-1])]
            processes.append(subprocess.Popen(command))
        if any([process.wait() for process in processes]):
            sys.exit("one of the two processes failed")
        halves = [json.loads(out.read_text()) for out in outs]
    losses = [halves[i % 2]["losses"][i // 2] for i in range(len(task.points))]
    task.report(losses, versions=halves[0]["versions"])
