"""`make demo`: six small LSTMs learn to read handwritten digits, on two workers.

Each 8x8 image of scikit-learn's digits is read as a sequence of 8 rows of 8 pixels. Run it
twice: what is done already is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import h5py
import numpy as np
from rich.console import Console
from sklearn.datasets import load_digits

import fitfleet as ff
from fitfleet.analysis.plots.curves import plot_curves

UNITS = (16, 32, 64)
LEARNING_RATES = (0.003, 0.01)
QUERY = "SELECT job_id, params, val_loss, test_loss, seconds FROM runs ORDER BY val_loss LIMIT 3"
SHOWN = ["job", "units", "learning_rate", "val_loss", "val_accuracy", "test_accuracy", "seconds"]


def write_digits(path: Path) -> None:
    """1,797 images as steps of features, shape (n, 8, 8): 70 % train, 15 % val, 15 % test."""
    digits = load_digits()
    rows = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[rows] / 16).astype("float32")
    labels = np.eye(10, dtype="float32")[digits.target[rows]]
    train, val = int(0.7 * len(rows)), int(0.85 * len(rows))
    parts = {"train": slice(train), "val": slice(train, val), "test": slice(val, None)}
    with h5py.File(path, "w") as file:
        for name, part in parts.items():
            file[f"x_{name}"] = images[part]
            file[f"y_{name}"] = labels[part]


def submit(fleet: ff.Fleet, dataset: Path, epochs: int) -> list[ff.Job]:
    """One job a combination; submit finds the ones that exist."""
    return [
        fleet.submit(
            model=ff.Sequential(
                [
                    ff.layers.Input((8, 8)),
                    ff.layers.LSTM(units, return_sequences=True),
                    ff.layers.LSTM(units),
                    ff.layers.Dense(10, activation="softmax"),
                ]
            ),
            dataset=str(dataset),
            optimizer={"class_name": "RMSprop", "config": {"learning_rate": learning_rate}},
            loss="categorical_crossentropy",
            metrics=["accuracy"],
            batch_size=64,
            epochs=epochs,
            seed=0,
            experiment="digits",
            params={"units": units, "learning_rate": learning_rate},
        )
        for units, learning_rate in product(UNITS, LEARNING_RATES)
    ]


def tell_reuse(console: Console, jobs: Sequence[ff.Job]) -> None:
    """Say which jobs this run does not have to train."""
    reused = [job for job in jobs if job.is_reused and job.status is ff.JobStatus.SUCCEEDED]
    if reused:
        numbers = ", ".join(str(job.id) for job in reused)
        console.print(
            f"{len(reused)} of {len(jobs)} jobs were already done and are reused: {numbers}"
        )


def draw(jobs: Sequence[ff.Job], path: Path) -> Path:
    """The learning curves of all jobs."""
    curves = {
        f"{job.params['units']} units, rate {job.params['learning_rate']:g}": job.history
        for job in jobs
    }
    return plot_curves(curves, path, title="Two stacked LSTMs read handwritten digits")


def tell_where(console: Console, folder: Path, best: ff.Job, picture: Path) -> None:
    """Where everything is, and a query to try."""
    database = folder / "fleet.db"
    console.print(f"\nlearning curves  {picture}")
    console.print(f"database         {database}")
    console.print(f"best weights     {os.path.relpath(best.weights_path)}")
    console.print(f"\nA query to try:\n  {QUERY}", soft_wrap=True, highlight=False)
    with sqlite3.connect(database) as connection:
        for row in connection.execute(QUERY):
            cells = (f"{cell:.4g}" if isinstance(cell, float) else cell for cell in row)
            console.print("   ", *cells, soft_wrap=True, highlight=False)
    code = (
        "import pandas, sqlite3;"
        f" print(pandas.read_sql({QUERY!r}, sqlite3.connect({str(database)!r})).to_string())"
    )
    command = shlex.join([os.path.relpath(sys.executable), "-c", code])
    console.print(f"\nor from a shell:\n  {command}", soft_wrap=True, highlight=False)


def keep_page(console: Console, fleet: ff.Fleet) -> None:
    """Leave the dashboard up until Ctrl-C."""
    console.print(
        f"\nthe fleet on a page: {fleet.dashboard().url}\nCtrl-C ends it.", soft_wrap=True
    )
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path("demo"), help="where all goes")
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    folder: Path = arguments.directory
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    dataset = folder / "digits.h5"
    if not dataset.exists():
        write_digits(dataset)
    began = time.monotonic()
    # A page is for somebody who looks: neither in a pipe nor on a build server.
    has_page = sys.stdout.isatty() and not os.environ.get("CI")
    with ff.local(workers=2, directory=folder, dashboard=has_page) as fleet:
        jobs = submit(fleet, dataset.resolve(), arguments.epochs)
        tell_reuse(console, jobs)
        fleet.wait(jobs)
        print(fleet.compare("digits")[SHOWN].round(4).to_string(index=False))
        best = fleet.best("digits")
        console.print(
            f"\n{len(jobs)} jobs, best is job {best.id} with {best.params}: test accuracy"
            f" {best.scores['test_accuracy']:.3f}; {time.monotonic() - began:.0f} s in all",
            soft_wrap=True,
        )
        tell_where(console, folder, best, draw(jobs, folder / "curves.png"))
        if has_page:
            keep_page(console, fleet)


if __name__ == "__main__":
    main()
