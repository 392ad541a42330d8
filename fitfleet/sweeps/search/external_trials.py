"""Trials that another program has made: an Optuna study, or a project folder of KerasTuner."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.optuna_loading import quiet_optuna
from fitfleet.errors import SearchError
from fitfleet.text import with_article
from fitfleet.urls import without_password

_MAX_TRIAL_BYTES = 2**24
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class SourceTrial:
    """A finished trial of another program, with one value an objective."""

    name: str  # its number in the source
    params: dict[str, Any]
    values: tuple[float, ...]


def trials_of(
    source: Any, study: str | None, wanted: Sequence[Objective]
) -> tuple[str, list[SourceTrial]]:
    """What the source is called, and its complete trials in their order.

    `source` is a study of Optuna, the URL of a storage of Optuna's, or the path of a KerasTuner
    project. SearchError for anything else, for one that cannot be read, and for a study of other
    objectives than `wanted`.
    """
    if isinstance(source, str) and "://" in source:
        source = _loaded(source, study)
    if hasattr(source, "trials") and hasattr(source, "directions"):
        return f"optuna:{source.study_name}", _of_study(source, wanted)
    if isinstance(source, str | os.PathLike):
        folder = _project(Path(source))
        return f"keras_tuner:{folder.name}", _of_project(folder, wanted)
    raise SearchError(
        f"points_from: {with_article(type(source).__name__)} is neither a study of Optuna, the URL"
        " of its storage, nor the folder of a KerasTuner project"
    )


def _loaded(url: str, study: str | None) -> Any:
    shown = without_password(url)
    path = url.removeprefix(_SQLITE).partition("?")[0]
    if url.startswith(_SQLITE) and not Path(path).is_file():  # Optuna would make one
        raise SearchError(f"points_from: {shown}: there is no such file")
    with quiet_optuna() as optuna:
        try:
            names = optuna.get_all_study_names(url)
            if study is None and len(names) == 1:
                study = names[0]
            if study in names:
                return optuna.load_study(study_name=study, storage=url)
        except Exception as error:  # of Optuna, SQLAlchemy or a driver
            text = str(error).strip().partition("\n")[0][:200]
            raise SearchError(f"points_from: {shown} cannot be read: {text}") from None
    there = ", ".join(names[:10]) or "none"
    raise SearchError(
        f"points_from: the studies of {shown} are: {there}; give the one that is meant as"
        ' {"source": ..., "study": ...}'
    )


def _of_study(study: Any, wanted: Sequence[Objective]) -> list[SourceTrial]:
    directions = [direction.name.lower() for direction in study.directions]
    ours = [objective.direction for objective in wanted]
    if directions != ours:
        raise SearchError(
            f"points_from: study {study.study_name!r} is to {', '.join(directions)}, this sweep to"
            f" {', '.join(ours)}"
        )
    return [
        SourceTrial(str(trial.number), dict(trial.params), tuple(trial.values))
        for trial in study.trials
        if trial.state.name == "COMPLETE"
    ]


def _project(folder: Path) -> Path:
    """The folder with a project's trials: this one, or the only one in it."""
    if (folder / "oracle.json").is_file():
        return folder
    projects = sorted(path.parent for path in folder.glob("*/oracle.json"))
    if len(projects) == 1:
        return projects[0]
    if folder.is_file():
        raise SearchError(
            f"points_from: {str(folder)!r} is a file; an Optuna study in SQLite is"
            f" 'sqlite:///{folder}', a KerasTuner project its folder"
        )
    there = "; there are " + ", ".join(p.name for p in projects[:10]) if projects else ""
    raise SearchError(
        f"points_from: {str(folder)!r} is not the folder of a KerasTuner project, which has an"
        f" oracle.json{there}"
    )


def _of_project(folder: Path, wanted: Sequence[Objective]) -> list[SourceTrial]:
    paths = sorted(folder.glob("trial_*/trial.json"), key=lambda p: (len(p.parent.name), str(p)))
    trials = []
    for path in paths:
        document = _document(path)
        if document.get("status") == "COMPLETED":
            trials.append(_of_trial(path, document, wanted))
    return trials


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_TRIAL_BYTES:
            raise SearchError(f"points_from: {path} has more than {_MAX_TRIAL_BYTES:,} bytes")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SearchError(f"points_from: {path} cannot be read: {error}") from None
    return document if isinstance(document, dict) else {}


def _of_trial(path: Path, document: Mapping[str, Any], wanted: Sequence[Objective]) -> SourceTrial:
    try:
        params = dict(document["hyperparameters"]["values"])
        metrics = document["metrics"]["metrics"]
        step = document["best_step"]
        values = tuple(_at(metrics.get(objective.name), step) for objective in wanted)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SearchError(
            f"points_from: {path} is not a trial as KerasTuner writes it: {error!r:.100}"
        ) from None
    return SourceTrial(path.parent.name.removeprefix("trial_"), params, values)


def _at(metric: Any, step: int) -> float:
    """The mean of a metric's executions at the trial's best step; NaN where there is none.

    A trial of one step may call it otherwise than KerasTuner's best one, so the last one counts
    where that has no value.
    """
    observations = [] if metric is None else metric["observations"]
    at_step = [entry for entry in observations if entry["step"] == step] or observations[-1:]
    numbers = [float(value) for entry in at_step for value in entry["value"]]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan
