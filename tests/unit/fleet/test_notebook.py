"""What a notebook shows: tables of HTML in which text is text, and a live view."""

from __future__ import annotations

from typing import Any

import nbclient
import nbformat
import pytest

import fitfleet as ff
from fitfleet.client.display.notebook import as_html
from fitfleet.client.display.progress_snapshot import RunningJob
from fitfleet.client.display.running_table import running_table
from fitfleet.db.schema.tables import jobs, metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")

TAG = "<img src=x>"


def test_handles_are_shown_as_tables(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    handles = [
        fleet.submit(**{**job, "seed": seed, "experiment": TAG, "params": {TAG: TAG}})
        for seed in range(2)
    ]
    with fleet.database.begin() as c:
        values = {"status": "SUCCEEDED", "epoch": 3, "kept_epoch": 2, "nan_epoch": 3}
        c.execute(jobs.update().where(jobs.c.id == handles[0].id).values(**values))
    listed = fleet.jobs(TAG)
    assert listed == handles and isinstance(listed, list)
    shown = {
        "job": listed[0]._repr_html_(),
        "jobs": listed._repr_html_(),
        "fleet": fleet._repr_html_(),
    }
    for name, html in shown.items():
        assert TAG not in html and html.startswith("<table>"), name
        assert "&lt;img src=x&gt;" in html, name
    assert "epoch 2" in shown["job"] and "not finite from epoch 3 on" in shown["job"]
    assert "seed=0" in shown["jobs"] and "SUCCEEDED" in shown["jobs"]
    assert "queued" in shown["fleet"]


def test_sweeps_and_plans_are_shown_as_tables(fleet: ff.Fleet, job: dict[str, Any]) -> None:
    job["batch_size"] = ff.choice([8, 16], name=TAG)
    sweep = fleet.sweep(**job, search="grid", objective="loss")
    assert "not submitted yet" in sweep._repr_html_()
    sweep.submit()
    with fleet.database.begin() as c:
        row = {"job_id": 1, "epoch": 3, "metric": "loss", "phase": "train", "value": 0.25}
        c.execute(metrics.insert().values(**row))
        c.execute(jobs.update().where(jobs.c.id == 1).values(status="SUCCEEDED", epoch=3))
    html = sweep._repr_html_()
    assert "1 complete, 1 pending" in html and "0.25" in html and TAG not in html
    assert sweep.plot.curves().axes
    assert [len(sweep.jobs()), len(sweep.jobs(0))] == [2, 1]


def test_the_live_view_is_html_of_what_a_terminal_shows() -> None:
    running = RunningJob(
        id=7, experiment=TAG, params={"a": TAG}, epoch=1, epochs=2, seed=0, fold=None,
        last={"loss": 0.5}, worker=TAG, seconds_left=3.0,
    )  # fmt: skip
    html = as_html(running_table([running], 100, lambda seconds: f"{seconds} s"))
    assert TAG not in html and "&lt;img src=x&gt;" in html and "0.5" in html
    assert html.startswith("<pre")


def test_a_notebook_shows_a_live_view_without_widgets() -> None:
    """In a real kernel: rich's own live view would ask for ipywidgets there."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LIVE)])
    done = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    first, *others = done.cells[0].outputs
    html = first["data"]["text/html"]
    assert "2 of 3 jobs ended" not in html and "1 of 3 jobs ended" in html and "seed=7" in html
    assert "ipywidgets" not in str(others)
    assert any("3 jobs ended" in str(output) for output in others)


LIVE = """
from rich.console import Console
from fitfleet.client.display.display import Display
from fitfleet.client.display.progress_snapshot import RunningJob, Snapshot
from fitfleet.states import JobStatus
one = RunningJob(id=3, experiment="e", params={}, epoch=1, epochs=2, seed=7, fold=None,
                 last={"loss": 0.5}, worker="w", seconds_left=1.0)
display_of_jobs = Display(Console(stderr=True))
shown = display_of_jobs.shown()
shown.__enter__()
for ended in (2, 1):
    counts = {JobStatus.SUCCEEDED: ended, JobStatus.RUNNING: 3 - ended}
    display_of_jobs.draw(Snapshot(counts, 3, 6, [one], 1, []))
display_of_jobs.conclude({JobStatus.SUCCEEDED: 3})
"""
