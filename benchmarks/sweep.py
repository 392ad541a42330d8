"""A sweep of 64 small fits: fitfleet against plain Keras and other tools, by the same commands.

usage: python benchmarks/sweep.py [--model lstm|mlp|embedding|conv2d|all] [--peers plain ...]
                                  [--configs 64] [--peer-python PYTHON]

Each peer is a script of benchmarks/peers, run as a command of its own, one after the other: 16
learning rates times 4 seeds, 5 epochs each, two processes where the tool has processes. The time
is from the start of the command to its last result. fitfleet's is run several times: the first time
on this machine (no traced program is on the disk), where it continues with 64 other points, warm;
again, with the programs of the first; and in a fleet that stays, which it joins.
All use the same TensorFlow; `--peer-python` is the interpreter that has the peers installed (the
extra `benchmarks`). Prints a table and one JSON line for each model.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "peers"
sys.path.insert(0, str(FOLDER))

import workload  # noqa: E402

# By script: the name in the table, and the module it needs.
PEERS = {
    "plain": ("plain loop, one process", "tensorflow"),
    "two_plain": ("plain loop, two processes", "tensorflow"),
    "keras_tuner_grid": ("KerasTuner", "keras_tuner"),
    "optuna_processes": ("Optuna, two processes", "optuna"),
    "ray_tune": ("Ray Tune, two actors", "ray"),
    "plain_celery": ("Celery, two children", "celery"),
}
# All peers fit small models of the notes; the tools' own cost is seen on the first.
QUICK = ("plain", "two_plain")


def run(
    script: str, python: str, model: str, count: int, folder: Path, **environment: str
) -> dict[str, Any]:
    """Run one peer's command; its report, with `seconds` from its start to its last result."""
    data, points, out = folder / "data.h5", folder / "points.json", folder / f"{script}.json"
    command = [python, str(FOLDER / f"{script}.py"), "--model", model, "--data", str(data)]
    command += ["--points", str(points), "--out", str(out)]
    with (folder / f"{script}.log").open("w") as log:
        used_s, began_at = cpu_s(), time.time()
        process = subprocess.run(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
        )
    if process.returncode or not out.exists():
        tail = (folder / f"{script}.log").read_text().strip().splitlines()[-5:]
        return {"error": f"exit code {process.returncode}: {' | '.join(tail)}"}
    report: dict[str, Any] = json.loads(out.read_text())
    report["seconds"] = report.pop("ended_at") - began_at
    report.setdefault("cpu_s", cpu_s() - used_s)
    check_work(script, report, count)
    return report


def cpu_s() -> float:
    """CPU time of all commands so far, with their processes. Ray's own outlive their command."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check_work(script: str, report: dict[str, Any], count: int) -> None:
    """SystemExit unless every point was fitted for all epochs, to a number."""
    for losses in (report["losses"], report.get("warm_losses", report["losses"])):
        whole = [
            len(curve) == workload.EPOCHS and all(map(math.isfinite, curve)) for curve in losses
        ]
        if len(losses) != count or not all(whole):
            sys.exit(f"{script}: {sum(whole)} of {count} fits are whole")


def is_installed(python: str, module: str) -> bool:
    """Whether an interpreter has a module."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", code]).returncode == 0


def run_fleet(model: str, count: int, folder: Path) -> dict[str, Any]:
    """The report of fitfleet's first command, with the seconds of the others."""
    programs, stays = {"FITFLEET_PROGRAMS": str(folder / "programs")}, str(folder / "stays")

    def timed(**environment: str) -> dict[str, Any]:
        return run("fleet", sys.executable, model, count, folder, **programs, **environment)

    report, again = timed(), timed()
    try:
        timed(FLEET_DIRECTORY=stays)  # starts it
        joined = timed(FLEET_DIRECTORY=stays)
    finally:
        command = [sys.executable, "-m", "fitfleet", "down", "--directory", stays]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    for other in (report, again, joined):
        if "error" in other:
            return other
    more = {"again_s": again["seconds"], "again_cpu_s": again["cpu_s"]}
    return {**report, **more, "joined_s": joined["seconds"]}


def measure(model: str, peers: list[str], python: str, count: int) -> dict[str, Any]:
    """All commands for one model, in turn."""
    reports: dict[str, Any] = {}
    missing = [peer for peer in peers if not is_installed(python, PEERS[peer][1])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workload.write_data(model, folder / "data.h5")
        (folder / "points.json").write_text(json.dumps(workload.points(count)))
        reports["fleet"] = run_fleet(model, count, folder)
        for script in (peer for peer in peers if peer not in missing):
            reports[script] = run(script, python, model, count, folder)
            print(f"{model}: {script} {reports[script].get('seconds', 'failed')}", file=sys.stderr)
    for report in reports.values():
        report["final_losses"] = [curve[-1] for curve in report.pop("losses", [])][:4]
        report.pop("warm_losses", None)
    return {"benchmark": "sweep", "model": model, "configs": count} | machine(reports, missing)


def machine(reports: dict[str, Any], missing: list[str]) -> dict[str, Any]:
    """The results with the machine they were measured on."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        # Above the number of cores other work ran, and the seconds are too many.
        "load_average": round(os.getloadavg()[0], 2),
        "results": reports,
        "not_installed": missing,
    }


def table(measured: dict[str, Any]) -> str:
    """The results as Markdown, with how many times quicker fitfleet is."""
    count, results = measured["configs"], measured["results"]
    fleet = results["fleet"]
    if "error" in fleet:
        return f"{measured['model']}: fitfleet failed: {fleet['error']}"
    ways = {
        "first": ("the first time on this machine", "seconds", "cpu_s"),
        "again": ("again, its programs on the disk", "again_s", "again_cpu_s"),
        "joined": ("in a fleet that stays", "joined_s", ""),
        "warm": (f"{count} more on the same fleet", "warm_s", "warm_cpu_s"),
    }
    rest = " |" * (2 + len(ways))
    lines = [
        f"| {measured['model']}, {count} fits | seconds | CPU s | a fit | {' | '.join(ways)} |",
        f"| --- | {' | '.join(['---:'] * (3 + len(ways)))} |",
    ]
    for text, seconds, cpu in ways.values():
        cells = _cells(fleet[seconds], fleet.get(cpu), count)
        lines.append(f"| fitfleet, {text} | {cells} |{' |' * len(ways)}")
    for script, report in results.items():
        name = PEERS.get(script, ("",))[0]
        if "error" in report:
            lines.append(f"| {name} | failed: {report['error']} |{rest}")
        elif script != "fleet":
            took = report["seconds"]
            times = " | ".join(f"{took / fleet[seconds]:.1f}" for _, seconds, _ in ways.values())
            lines.append(f"| {name} | {_cells(took, report['cpu_s'], count)} | {times} |")
    lines += [f"| {PEERS[peer][0]} | not installed |{rest}" for peer in measured["not_installed"]]
    return "\n".join(lines)


def _cells(seconds: float, cpu_s: float | None, count: int) -> str:
    return f"{seconds:.1f} | {'' if cpu_s is None else f'{cpu_s:.0f}'} | {seconds / count:.3f}"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", choices=[*workload.WORKS, "all"], default="all")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS))
    parser.add_argument("--configs", type=int, default=64)
    parser.add_argument("--peer-python", default=sys.executable)
    given = parser.parse_args()
    for model in workload.WORKS if given.model == "all" else [given.model]:
        default = list(PEERS) if model == "lstm" else list(QUICK)
        peers = default if given.peers is None else given.peers
        measured = measure(model, peers, given.peer_python, given.configs)
        print(table(measured), json.dumps(measured), sep="\n\n", end="\n\n", flush=True)


if __name__ == "__main__":
    main()
