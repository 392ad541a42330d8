"""Optuna: the points queued in one study, two processes that optimize it.

The study is in Optuna's journal file: with one in SQLite both processes at times take one trial.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from typing import Any

import optuna
import workload
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

NAME = "sweep"


def journal(path: str) -> JournalStorage:
    """The storage of the study, for one process."""
    return JournalStorage(JournalFileBackend(path))


def optimize(task: workload.Task, path: str) -> None:
    """One of the two processes: its half of the queued trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arrays = workload.load(task.data)

    def objective(trial: Any) -> float:
        point = {
            "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e2, log=True),
            "seed": trial.suggest_int("seed", 0, 1000),
        }
        losses = workload.fit(task.model, point, arrays)
        trial.set_user_attr("losses", losses)
        return losses[-1]

    study = optuna.load_study(study_name=NAME, storage=journal(path))
    study.optimize(objective, n_trials=len(task.points) // 2)


if __name__ == "__main__":
    if sys.argv[1] == "--journal":
        path = sys.argv[2]
        del sys.argv[1:3]
        optimize(workload.task(), path)
        sys.exit()
    task = workload.task()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/study.log"
        study = optuna.create_study(study_name=NAME, storage=journal(path))
        for point in task.points:
            study.enqueue_trial(point)
        command = [sys.executable, __file__, "--journal", path, *sys.argv[1:]]
        processes = [subprocess.Popen(command) for _ in range(2)]
        if any([process.wait() for process in processes]):
            sys.exit("one of the two processes failed")
        losses = [trial.user_attrs["losses"] for trial in study.trials]
        ended_at = time.time()  # the versions import TensorFlow here
    versions = workload.versions() | {"optuna": optuna.__version__}
    task.report(losses, versions=versions, ended_at=ended_at)
