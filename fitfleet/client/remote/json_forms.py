"""What goes over the HTTP API, as documents (`json_text` writes them) and out of them again.

A table is `{"columns": [{"name", "dtype", "values"}], "attrs"}`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from fitfleet.analysis.objective import Objective
from fitfleet.analysis.results import Results
from fitfleet.analysis.runs import Run
from fitfleet.client.display.progress_snapshot import RunningJob, Snapshot
from fitfleet.db.jobs.labels import Labels
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.sweeps.lineage import Descent
from fitfleet.db.sweeps.trials import ReplicateRow, TrialRow
from fitfleet.scheduler.explain import Explanation, Reason
from fitfleet.states import JobStatus

if TYPE_CHECKING:
    import pandas as pd


def frame_document(frame: pd.DataFrame) -> dict[str, Any]:
    """A table as a document."""
    columns = [
        {"name": name, "dtype": str(frame[name].dtype), "values": frame[name].tolist()}
        for name in frame.columns
    ]
    return {"columns": columns, "attrs": dict(frame.attrs)}


def frame_of(document: Mapping[str, Any]) -> pd.DataFrame:
    """The table again: columns in their order, of their types, with its `attrs`."""
    import pandas as pd

    columns = document["columns"]
    frame = pd.DataFrame(
        {c["name"]: pd.Series(c["values"], dtype=c["dtype"]) for c in columns},
        columns=[c["name"] for c in columns],
    )
    frame.attrs.update(document["attrs"])
    return frame


def row_of(document: Mapping[str, Any]) -> JobRow:
    """A job's row; fields of a newer server are left out."""
    known = {f.name for f in fields(JobRow)}
    values = {name: value for name, value in document.items() if name in known}
    return JobRow(**{**values, "status": JobStatus(document["status"])})


def explanation_of(document: Mapping[str, Any]) -> Explanation:
    """Why a job waits."""
    status = document["status"]
    return Explanation(
        job_id=document["job_id"],
        status=None if status is None else JobStatus(status),
        reasons=tuple(Reason(reason["kind"], reason["text"]) for reason in document["reasons"]),
        place=document["place"],
        before=tuple(document["before"]),
        starts_in_s=document["starts_in_s"],
    )


def snapshot_of(document: Mapping[str, Any]) -> Snapshot:
    """The state of jobs."""
    return Snapshot(
        counts=counts_of(document["counts"]),
        epochs_done=document["epochs_done"],
        epochs=document["epochs"],
        running=[RunningJob(**job) for job in document["running"]],
        slots=document["slots"],
        paused=list(document["paused"]),
        obstacles=tuple(document["obstacles"]),
    )


def counts_of(document: Mapping[str, int]) -> dict[JobStatus, int]:
    """Jobs by their status."""
    return {JobStatus(name): count for name, count in document.items()}


def labels_of(document: Mapping[str, Any]) -> Labels:
    """Tags and note."""
    return Labels(tuple(document["tags"]), document["note"])


def results_document(results: Results) -> dict[str, Any]:
    """Trials, jobs and values as a document; `results_of` reads it."""
    return {
        "wanted": list(results.wanted),
        "trials": [
            {**asdict(row), "pending": sorted(row.pending), "point": dict(row.point)}
            for row in results.rows
        ],
        "replicates": [m for of_trial in results.replicates.values() for m in of_trial],
        "values": list(results.values.items()),
        "curves": [(job, list(curve.items())) for job, curve in results.curves.items()],
    }


def runs_of(documents: Sequence[Mapping[str, Any]]) -> list[Run]:
    """The runs of a comparison."""
    return [Run(**{**run, "values": tuple(run["values"])}) for run in documents]


def objectives_of(documents: Sequence[Mapping[str, Any]]) -> tuple[Objective, ...]:
    """What is compared by."""
    return tuple(Objective(**objective) for objective in documents)


def results_of(document: Mapping[str, Any]) -> Results:
    """Results as they were read where the database is."""
    results = Results(objectives_of(document["wanted"]))
    for row in document["trials"]:
        descent = None if row["descent"] is None else Descent(**row["descent"])
        given = {**row, "pending": frozenset(row["pending"]), "descent": descent}
        results.rows.append(TrialRow(**given))
    for given in document["replicates"]:
        replicate = ReplicateRow(**{**given, "status": JobStatus(given["status"])})
        results.replicates.setdefault(replicate.number, []).append(replicate)
    results.values = {job: tuple(values) for job, values in document["values"]}
    results.curves = {job: dict(curve) for job, curve in document["curves"]}
    return results
