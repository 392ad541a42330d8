"""`du` and `rm`: what is on the disk, and that what goes is all of a job and nothing else."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, select, update
from support.simulated_worker import StandIn, arguments, write_data, write_files
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.cli.main import app
from fitfleet.db import events
from fitfleet.db.jobs import jobs as table
from fitfleet.db.jobs import removal
from fitfleet.db.pages import fleet as pages
from fitfleet.db.reading import lookup
from fitfleet.db.schema.tables import experiments, job_labels, jobs, metadata
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError, StateError
from fitfleet.scheduler.maintenance import Retention
from fitfleet.settings import directory_settings
from fitfleet.states import JobStatus

GRID = {"search": "grid", "trials": None, "optimizer": "sgd"}
SMALL: Any = {
    "model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]),
    "dataset": "data.npz",
    "loss": "mse",
    "epochs": 2,
}
pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")


@pytest.fixture
def fleet(tmp_path: Path, database: Database) -> ff.Fleet:
    settings = write_data(tmp_path).replace(
        database_url=database.url.render_as_string(hide_password=False),
        storage=str(tmp_path / "storage"),
        logs=str(tmp_path / "logs"),
    )
    return ff.Fleet(settings, database)


def finished(fleet: ff.Fleet, experiment: str, count: int) -> list[ff.Job]:
    """Succeeded jobs with files and a log of 10 bytes each."""
    jobs = [fleet.submit(**SMALL, experiment=experiment, seed=seed) for seed in range(count)]
    StandIn(fleet.database).work()
    for job in jobs:
        job.refresh()
        log = Path(fleet.settings.logs) / str(job.id) / "attempt-1.log"
        log.parent.mkdir(parents=True)
        log.write_text("x" * 10)
    write_files(fleet, jobs)
    return [job.refresh() for job in jobs]


def all_rows(database: Database, table: Table) -> Sequence[Any]:
    """All rows of a table."""
    with database.read() as c:
        return c.execute(select(table)).all()


def rows_of(database: Database, job_id: int) -> dict[str, int]:
    """How many rows of each table name the job."""
    with database.read() as c:
        return {
            table.name: c.execute(
                select(func.count()).select_from(table).where(table.c.job_id == job_id)
            ).scalar_one()
            for table in metadata.sorted_tables
            if "job_id" in table.c
        }


def test_a_removed_job_leaves_no_row_and_no_file(fleet: ff.Fleet, database: Database) -> None:
    gone, kept = finished(fleet, "net", 2)
    assert sum(rows_of(database, gone.id).values()) > 3
    before = rows_of(database, kept.id)
    would_go = fleet.remove([gone], is_dry=True)
    assert (would_go.jobs, would_go.size_bytes) == (1, 1010) and fleet.job(gone.id)
    assert fleet.remove([gone]) == would_go
    assert set(rows_of(database, gone.id).values()) == {0}
    assert rows_of(database, kept.id) == before
    files = [p.name for p in Path(fleet.settings.storage).rglob("*.h5")]
    assert len(files) == 1 and kept.weights_path.exists()
    assert [p.name for p in Path(fleet.settings.logs).iterdir()] == [str(kept.id)]
    with pytest.raises(NotFoundError, match="was removed"):
        gone.refresh()


@pytest.mark.parametrize("status", ["QUEUED", "DISPATCHED", "RUNNING"])
def test_a_job_that_has_not_ended_is_never_removed(fleet: ff.Fleet, status: str) -> None:
    (ended,) = finished(fleet, "net", 1)
    other = fleet.submit(**SMALL, experiment="net", seed=7)
    worker = StandIn(fleet.database)
    if status == "RUNNING":
        worker.take(1)
    elif status == "DISPATCHED":
        from fitfleet.db.scheduling import dispatch

        with fleet.database.begin() as c:
            assert dispatch.dispatch(c, "cpu", 1)
    assert other.status == status
    with pytest.raises(StateError, match=rf"1 of 2 jobs .* cancel {other.id}$"):
        fleet.remove([ended, other])
    with pytest.raises(StateError, match="fitfleet cancel -e net"):
        fleet.remove(experiment="net")
    assert fleet.job(ended.id).weights_path.exists(), "all of them or none"


def test_a_job_that_runs_again_meanwhile_stays(fleet: ff.Fleet, database: Database) -> None:
    first, second = finished(fleet, "net", 2)
    second.extend(epochs=5)
    with pytest.raises(StateError), database.begin() as c:
        removal.remove_jobs(c, [first.id, second.id])
    with pytest.raises(StateError), database.begin() as c:
        removal.begin_removal(c, "net")
    assert [job.status for job in fleet.jobs("net")] == [JobStatus.SUCCEEDED, JobStatus.QUEUED]


def test_an_experiment_goes_with_its_sweeps(fleet: ff.Fleet, database: Database) -> None:
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    sweep.run()
    write_files(fleet, sweep.jobs())
    with pytest.raises(StateError, match=r"sweep net compares .* rm -e net$"):
        fleet.remove(sweep.jobs()[:1])
    other = finished(fleet, "other", 1)[0]
    assert fleet.remove(experiment="net").jobs == 3
    with pytest.raises(NotFoundError, match="no such sweep"):
        fleet.resume_sweep("net")
    assert [job.id for job in fleet.jobs()] == [other.id]
    assert [p.name for p in Path(fleet.settings.storage).iterdir()] == ["net"]  # of `other`
    # The name is free, and what was removed is run anew.
    assert fleet.sweep(**arguments(**GRID)).submit().progress.jobs_open == 3


def test_a_removal_that_was_interrupted_is_repeated(
    fleet: ff.Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    sweep.run()
    write_files(fleet, sweep.jobs())
    (kept,) = finished(fleet, "other", 1)
    monkeypatch.setattr("fitfleet.db.jobs.retention._PART", 2)
    storage, numbers = Path(fleet.settings.storage), [job.id for job in sweep.jobs()]

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("fitfleet.scheduler.removal._delete", killed)  # after the rows of two jobs
        fleet.remove(experiment="net")
    # For users it has gone: no job of it is listed, though one has a row still; its name is free.
    assert fleet.jobs("net") == [] and [job.id for job in fleet.jobs()] == [kept.id]
    again = fleet.submit(**SMALL, experiment="net", seed=5)
    with pytest.raises(StateError, match=f"1 of 2 jobs have not ended .{again.id}."):
        fleet.remove(experiment="net")
    StandIn(database).work()
    assert fleet.remove(experiment="net").jobs == 2
    assert [job.id for job in fleet.jobs()] == [kept.id]
    with pytest.raises(NotFoundError, match="there is no experiment"):
        fleet.remove(experiment="net")
    left = [path for path in storage.rglob("*.h5") if path.parent.name in map(str, numbers[:2])]
    assert len(left) == 2, "files that no job points to: `gc` takes them"
    assert kept.weights_path.exists()


def test_a_job_submitted_while_a_removal_begins_is_not_removed(
    fleet: ff.Fleet, database: Database
) -> None:
    finished(fleet, "net", 1)
    submitted: list[ff.Job] = []
    submit = threading.Thread(
        target=lambda: submitted.append(fleet.submit(**SMALL, experiment="net", seed=5))
    )
    with database.begin() as c:
        removal.begin_removal(c, "net")
        submit.start()
        submit.join(1.0)
        assert submit.is_alive(), "it waits for the removal's transaction"
    submit.join(30.0)
    assert [job.id for job in fleet.jobs("net")] == [submitted[0].id]


def test_the_scheduler_ends_a_removal_that_was_interrupted(
    fleet: ff.Fleet, database: Database
) -> None:
    finished(fleet, "net", 3)
    with database.begin() as c:
        removal.begin_removal(c, "net")
    again = fleet.submit(**SMALL, experiment="net")
    with database.begin() as c:
        removal.remove_part(c, [1])
    with database.read() as c:
        assert c.execute(select(func.count()).select_from(jobs)).scalar_one() == 3
    Retention(fleet.settings)(database)
    assert [job.id for job in fleet.jobs()] == [again.id], "another one by now has its name"
    with database.read() as c:
        assert c.execute(select(experiments.c.name)).scalars().all() == ["net"]


def test_an_experiment_that_is_being_removed_is_in_no_view_and_no_list(
    fleet: ff.Fleet, database: Database
) -> None:
    fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    of_jobs = ("runs", "curves", "groups", "leaderboard")
    with database.begin() as c:
        events.add(c, "cancelled", 1)
        events.add(c, "upgraded")
        assert all(c.exec_driver_sql(f"SELECT experiment FROM {name}").all() for name in of_jobs)
        removal.begin_removal(c, "net")
    with database.read() as c:
        assert c.execute(select(func.count()).select_from(jobs)).scalar_one() == 3
        for name in of_jobs:
            assert c.exec_driver_sql(f"SELECT experiment FROM {name}").all() == []
        kinds = c.exec_driver_sql("SELECT kind FROM events ORDER BY event_id").scalars().all()
        assert kinds == ["upgraded", "removed"]
        assert pages.counts(c) == {} and lookup.count_jobs(c) == {}
    assert fleet.experiments() == [] and list(fleet.jobs()) == []


CHANGES: dict[str, Callable[[ff.Job], object]] = {
    "cancel": lambda job: job.cancel(),
    "retry": lambda job: job.retry(),
    "extend": lambda job: job.extend(epochs=5),
    "priority": lambda job: job.set_priority(1),
    "tag": lambda job: job.tag("good"),
    "note": lambda job: job.write_note("good"),
    "refresh": lambda job: job.refresh(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_no_handle_reaches_a_job_that_is_being_removed(
    fleet: ff.Fleet, database: Database, change: str, status: str
) -> None:
    (job,) = finished(fleet, "net", 1)
    with database.begin() as c:
        c.execute(update(jobs).values(status=status))
    job.refresh()
    with database.begin() as c:
        removal.begin_removal(c, "net")
    with pytest.raises(NotFoundError, match=f"job {job.id}"):
        CHANGES[change](job)
    assert list(all_rows(database, job_labels)) == []
    assert [row.status for row in all_rows(database, jobs)] == [status]


def test_no_number_reaches_a_job_that_is_being_removed(fleet: ff.Fleet, database: Database) -> None:
    (job,) = finished(fleet, "net", 1)
    fleet.pause("net")
    with database.begin() as c:
        removal.begin_removal(c, "net")
    with pytest.raises(NotFoundError, match=f"no job {job.id}"):
        fleet.job(job.id)
    with pytest.raises(NotFoundError, match=f"no job {job.id}"):
        fleet.remove([job.id])
    with database.read() as c:
        assert lookup.jobs_by_id(c, [job.id]) == [] and lookup.paused_experiments(c) == set()


def test_a_retry_and_a_removal_at_the_same_time_leave_one_of_both(
    fleet: ff.Fleet, database: Database
) -> None:
    (job,) = finished(fleet, "net", 1)
    with database.begin() as c:
        c.execute(update(jobs).values(status="FAILED"))
    refused: list[Exception] = []

    def remove() -> None:
        try:
            with database.begin() as c:
                removal.begin_removal(c, "net")
        except StateError as error:
            refused.append(error)

    removing = threading.Thread(target=remove)
    with database.begin() as c:
        assert table.retry(c, job.id)
        removing.start()
        removing.join(1.0)
        assert removing.is_alive(), "it waits for the transaction of the retry"
    removing.join(30.0)
    assert len(refused) == 1 and fleet.job(job.id).status is JobStatus.QUEUED


def test_adopted_results_outlive_those_they_came_from(fleet: ff.Fleet, database: Database) -> None:
    first = fleet.sweep(**arguments(**GRID)).submit()
    StandIn(database).work()
    first.run()
    write_files(fleet, first.jobs())
    adopter = fleet.sweep(**arguments(**GRID, experiment="new", adopt=True)).submit()
    usage = fleet.disk_usage()
    assert [(u.experiment, u.weights_bytes) for u in usage.experiments] == [
        ("net", 3000),
        ("new", 0),
    ]
    fleet.remove(experiment="net")
    assert all(job.weights_path.exists() for job in adopter.jobs())
    assert fleet.disk_usage().experiments[0].weights_bytes == 3000
    assert fleet.remove(experiment="new").size_bytes == 3000
    assert list(Path(fleet.settings.storage).iterdir()) == []


def test_du_finds_every_byte(fleet: ff.Fleet) -> None:
    finished(fleet, "small", 1)
    finished(fleet, "large", 3)
    root = Path(fleet.settings.storage)
    strays = {"net/99/attempt-1.weights.h5": 7, "datasets/a.h5": 5, ".initial/b.weights.h5": 3}
    for name, count in strays.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * count)
    usage = fleet.disk_usage()
    assert [(u.experiment, u.jobs, u.total_bytes) for u in usage.experiments] == [
        ("large", 3, 3030),
        ("small", 1, 1010),
    ]
    shared = dict(usage.shared)
    assert shared.pop("database") > 0
    shared.pop("dataset cache of this machine", None)
    assert shared == {
        "other files of the storage": 7,
        "datasets given as arrays": 5,
        "initial weights": 3,
    }


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """The options of a fleet on SQLite, with two finished jobs in `[net]` and one in `other`."""
    folder = tmp_path / "fleet"
    settings = write_data(tmp_path).replace(**directory_settings(folder))
    folder.mkdir()
    database = Database(settings.database_url)
    database.upgrade()
    with ff.Fleet(settings, database) as fleet:
        finished(fleet, "[net]", 2)
        finished(fleet, "other", 1)
    return ["--directory", str(folder), "--data-root", str(tmp_path)]


def ran(*arguments: str, answer: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), input=answer)
    return result.exit_code, result.stdout + result.stderr


def test_du_and_rm_agree_with_the_disk(place: list[str], tmp_path: Path) -> None:
    code, said = ran("du", *place)
    lines = [line.split() for line in said.splitlines()]
    assert code == 0 and lines[0][:2] == ["experiment", "jobs"]
    assert ["[net]", "2", "2.0", "KiB", "20", "B", "2.0", "KiB"] in lines
    assert json.loads(ran("du", "--json", *place)[1])["experiments"][0]["weights_bytes"] == 2000
    assert ran("rm", *place)[0] == 2 and ran("rm", "1", "-e", "other", *place)[0] == 2
    assert ran("rm", "-e", "nothere", *place)[0] == 2
    code, said = ran("rm", "-e", "[net]", *place, answer="y\n")
    assert code == 2 and "confirm with --yes" in said, "nobody is asked in a pipe"
    code, said = ran("rm", "-e", "[net]", "--dry-run", *place)
    assert (
        said
        == "would remove experiment [net] with 2 jobs, 2.0 KiB of weights, checkpoints and logs\n"
    )
    assert len(json.loads(ran("ps", "--json", *place)[1])) == 3
    assert ran("rm", "-e", "[net]", "--yes", *place)[1].startswith(
        "removed experiment [net] with 2"
    )
    assert ran("rm", "3", "-y", *place) == (
        0,
        "removed 1 job, 1010 B of weights, checkpoints and logs\n",
    )
    with closing(sqlite3.connect(tmp_path / "fleet" / "fleet.db")) as c, c:
        assert c.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def completed(*words: str) -> list[str]:
    """What bash is offered after these words."""
    result = CliRunner().invoke(
        app,
        [],
        prog_name="fitfleet",
        env={
            "_FITFLEET_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["fitfleet", *words]),
            "COMP_CWORD": str(len(words)),
        },
    )
    return result.stdout.split()


def test_the_shell_completes_what_there_is(
    place: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITFLEET_DATABASE_URL", f"sqlite:///{tmp_path / 'fleet' / 'fleet.db'}")
    assert completed("compare", "o") == ["other"]
    assert completed("cancel", "-e", "o") == ["other"]
    assert completed("show", "") == ["3", "2", "1"]
    assert completed("ps", "--status", "s") == ["succeeded"]
    assert completed("ps", "--status", "C") == ["CANCELLED"]
    assert completed("plot", "x", "p") == ["parallel_coordinates"]
    assert completed("export-runs", "x", "ten") == ["tensorboard"]
    monkeypatch.setenv("FITFLEET_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    assert completed("show", "") == [] and not (tmp_path / "none.db").exists()


@pytest.mark.slow
def test_a_job_file_is_planned(place: list[str], tmp_path: Path) -> None:
    job = """
experiment: other
dataset: data.npz
loss: mse
epochs: 2
optimizer: rmsprop
model: {Sequential: [{Input: [[4]]}, {Dense: 1}]}
jobs:
- {params: {a: 1}, seed: 1}
- {params: {a: 2}, seed: 2}
- {params: {a: 2}, seed: 2}
"""
    file = tmp_path / "jobs.yaml"
    file.write_text(job)
    code, said = ran("plan", str(file), *place)
    assert code == 0, said
    assert "3 jobs: 2 jobs to run, 1 already submitted" in said
    planned = json.loads(ran("plan", str(file), "--json", *place)[1])
    assert [(p["new"], p["reused"], p["parameters"]) for p in planned["points"]] == [
        (1, 0, 5),
        (1, 0, 5),
        (0, 1, 5),
    ]
    file.write_text(job + "- {params: {a: 3}, epochs: -1}\n")
    code, said = ran("plan", str(file), *place)
    assert code == 2 and "1 job refused" in said and "epochs" in said
    assert len(json.loads(ran("ps", "--json", *place)[1])) == 3, "nothing is queued"
