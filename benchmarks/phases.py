"""Where the time of a sweep's jobs goes, by phase, for each engine: first jobs and warm ones.

    python benchmarks/phases.py [--jobs 32] [--picture docs/images/phases.png]

A worker's child runs in a process of its own for each engine, with TensorFlow imported, on SQLite:
a first cohort, then a second of the same architecture, which finds all traced. Of `fit` a cohort is
one job, since it gains nothing from more. The model is the stacked LSTM of `overhead.py`, 5 epochs.
`before_fit_s` is the time from the claim of a warm cohort to its first step, without building.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fitfleet.db.scheduling import dispatch
from fitfleet.worker.engines.single_job import keras_fit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from _stopwatch import Stopwatch  # noqa: E402

ENGINES = ("fit", "loop", "fused")
PHASES = {
    "claim": "#4c72b0",
    "data": "#55a868",
    "build": "#ccb974",
    "trace": "#c44e52",
    "steps": "#8172b2",
    "record": "#64b5cd",
    "save": "#dd8452",
    "other": "#b0b0b0",
}


def _watched() -> list[tuple[Any, str, str]]:
    """(owner, function, phase) in the code that every worker runs."""
    from fitfleet.worker import cohort, fit, run
    from fitfleet.worker.engines.fused import fused, fused_program
    from fitfleet.worker.engines.single_job import keras_epoch
    from fitfleet.worker.engines.traced import program
    from fitfleet.worker.engines.traced.feed import Feeds
    from fitfleet.worker.engines.traced.trace_cache import TraceCache
    from fitfleet.worker.load import Loader
    from fitfleet.worker.recording.journal import DatabaseJournal

    return [
        (run, "claim_message", "claim"),
        (cohort, "peers", "claim"),
        (Loader, "load", "data"),
        (Feeds, "of", "data"),
        (keras_fit, "build", "build"),
        (TraceCache, "take", "build"),
        (program.EpochProgram, "trace", "trace"),
        (fused.FusedFit, "_trace", "build"),
        (fused.FusedSession, "start", "build"),
        (fused_program.FusedProgram, "__init__", "trace"),
        (keras_epoch.EpochOfFit, "prepare", "trace"),
        (DatabaseJournal, "begin", "record"),
        (DatabaseJournal, "epoch", "record"),
        (DatabaseJournal, "checkpoint", "record"),
        (fit.Fit, "end", "save"),
        (run.evaluate, "scores", "save"),
        (DatabaseJournal, "save", "save"),
    ]


def _watch(clock: Stopwatch) -> None:
    """Tell the phases apart."""
    from fitfleet.worker.engines.single_job import keras_epoch
    from fitfleet.worker.engines.traced import call_length

    for owner, name, phase in _watched():
        clock.watch(owner, name, phase)
    train, paced_run = keras_epoch.EpochOfFit.train, call_length.Pace.run

    def stepped(self: Any) -> Any:
        """Until its first step has ended, Keras traces."""
        inner = self._callbacks.on_train_batch_end

        def on_train_batch_end(batch: int, logs: Any = None) -> None:
            clock.enter("steps")
            inner(batch, logs)

        self._callbacks.on_train_batch_end = on_train_batch_end
        with clock.during("steps" if self._model.train_function else "trace"):
            return train(self)

    def paced(self: Any, call: Any, steps: int, on_progress: Any) -> int:
        def timed(first: int, last: int) -> int:
            with clock.during("steps"):
                done: int = call(first, last)
                return done

        return paced_run(self, timed, steps, on_progress)

    keras_epoch.EpochOfFit.train = stepped
    call_length.Pace.run = paced


def profile(engine: str, count: int) -> dict[str, dict[str, float]]:
    """Seconds a job by phase, of the first and of the warm cohort of an engine, in this process."""
    from overhead import job, write_dataset
    from support.rows import register

    import fitfleet as ff
    from fitfleet.db.session import Database
    from fitfleet.settings import Settings, directory_settings
    from fitfleet.worker.engines.choice import Choice
    from fitfleet.worker.process import tasks

    count = 1 if engine == "fit" else count
    phases = {}
    with tempfile.TemporaryDirectory() as name:
        dataset = Path(name) / "data.h5"
        write_dataset(dataset)
        chosen = directory_settings(Path(name) / "fleet")
        settings = Settings.load({**chosen, "data_root": name, "cohort_max": count})
        database = Database(settings.database_url)
        database.upgrade()
        register(database, 1)
        fleet = ff.connect(**chosen, data_root=name)
        child = tasks.start_child(settings)
        engines = child.engines
        chosen_engine = getattr(engines, f"_{engine}")
        engines.choose = lambda jobs: iter([Choice(chosen_engine, jobs, [""] * len(jobs))])
        clock = Stopwatch()
        _watch(clock)
        for number, label in enumerate(("first", "warm")):
            seeds = range(number * count, (number + 1) * count)
            fleet.submit_many(job(dataset, seed, 5) for seed in seeds)
            with database.begin() as c:
                (message,) = dispatch.dispatch(c, "cpu", 1)
            clock.take()
            child.run(*message)
            before_fit_s = clock.before_fit_s or 0.0
            phases[label] = {phase: spent / count for phase, spent in clock.take().items()}
        states = {str(handle.status) for handle in fleet.jobs()}
        if states != {"SUCCEEDED"}:
            raise SystemExit(f"{engine}: the jobs ended {states}")
        phases["before_fit"] = {"seconds": before_fit_s}
    return phases


def _in_process(engine: str, count: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, __file__, "--engine", engine, "--jobs", str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    phases: dict[str, dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return phases


def draw(phases: dict[str, dict[str, dict[str, float]]], count: int, path: Path) -> None:
    """Stacked bars of each engine's first and warm cohort: seconds a job, and shares of them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [(engine, label) for engine in phases for label in ("first", "warm")]
    names = [f"{e}, {1 if e == 'fit' else count} at once\n{label} cohort" for e, label in rows]
    totals = [sum(phases[engine][label].values()) for engine, label in rows]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for axis, unit in zip(axes, ("seconds a job", "share of the time, %"), strict=True):
        lefts = [0.0] * len(rows)
        for phase, colour in PHASES.items():
            widths = [phases[engine][label].get(phase, 0.0) for engine, label in rows]
            if axis is axes[1]:
                widths = [100 * w / t for w, t in zip(widths, totals, strict=True)]
            axis.barh(names, widths, 0.65, left=lefts, label=phase, color=colour)
            lefts = [a + b for a, b in zip(lefts, widths, strict=True)]
        axis.set_xlabel(unit)
        axis.spines[["top", "right"]].set_visible(False)
    for number, total in enumerate(totals):
        axes[0].text(total, number, f" {total:.2f} s", va="center", fontsize=9)
    axes[0].margins(x=0.15)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", frameon=False, ncols=len(PHASES))
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=32)
    parser.add_argument(
        "--picture", type=Path, default=HERE.parent / "docs" / "images" / "phases.png"
    )
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        print(json.dumps(profile(options.engine, options.jobs)))
        return 0
    phases = {engine: _in_process(engine, options.jobs) for engine in ENGINES}
    for engine, of in phases.items():
        row = {
            "benchmark": "phases",
            "engine": engine,
            "before_fit_s": of["before_fit"]["seconds"],
        }
        for label in ("first", "warm"):
            row[label] = {k: round(of[label].get(k, 0.0), 4) for k in PHASES}
            row[f"{label}_s"] = round(sum(of[label].values()), 3)
        print(json.dumps(row), flush=True)
    draw(phases, options.jobs, options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
