"""A sweep's file names what other programs have measured, and SQL shows it with its origin."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from support.simulated_worker import write_data

import fitfleet as ff
from fitfleet.cli.commands.sweep import submit_sweep
from fitfleet.cli.sweep_file import is_sweep, read_sweep, sweep_of
from fitfleet.db.session import Database
from fitfleet.errors import SearchError, SpecError

FILE = """
model:
  Sequential:
    - Input: {shape: [4]}
    - Dense: {units: {choice: {options: [4, 8, 16], name: units}}}
    - Dense: {units: 1}
dataset: data.npz
loss: mse
epochs: 2
search: tpe
trials: 2
max_running: 1
experiment: known
points_from:
  - {source: "sqlite:///STUDY", names: {width: units}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a trial that fits, one that has failed, and one outside the space."""
    path = tmp_path_factory.mktemp("plain") / "studies.db"
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = optuna.create_study(study_name="plain", storage=f"sqlite:///{path}")
    widths = optuna.distributions.IntDistribution(1, 64)
    for width, value in ((8, 0.5), (4, None), (9, 0.25)):
        states = optuna.trial.TrialState
        state = states.FAIL if value is None else states.COMPLETE
        made.add_trial(
            optuna.trial.create_trial(
                params={"width": width}, distributions={"width": widths}, value=value, state=state
            )
        )
    return path


@pytest.fixture
def file(tmp_path: Path, study: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(FILE.replace("STUDY", str(study)))
    return path


def test_a_file_names_them_and_the_view_shows_them(
    database: Database, tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = write_data(tmp_path).replace(database_url=str(database.url))
    fleet = ff.Fleet(settings, database)
    given = read_sweep(file)
    assert is_sweep(file)
    submit_sweep(fleet, given, as_json=True)
    assert json.loads(capsys.readouterr().out)["sweep"] == "known"
    with database.read() as c:
        rows = c.exec_driver_sql("SELECT * FROM imported_points ORDER BY number").all()
    assert [(row.sweep, row.source, row.source_trial) for row in rows] == [
        ("known", "optuna:plain", "0"),
        ("known", "optuna:plain", "2"),
    ]
    assert [json.loads(row.params) for row in rows] == [{"units": 8}, {}]
    assert [json.loads(row.objectives) for row in rows] == [{"val_loss": 0.5}, {"val_loss": 0.25}]
    assert [row.unused for row in rows] == [None, "units=9 is not among its values"]
    table = fleet.resume_sweep("known").trials()
    assert table["state"].tolist()[-2:] == ["imported"] * 2
    submit_sweep(fleet, given, as_json=True)  # the same again writes nothing again
    with database.read() as c:
        assert c.exec_driver_sql("SELECT count(*) FROM imported_points").scalar() == 2


def test_what_is_no_source_is_one_sentence(sqlite_url: str, tmp_path: Path, file: Path) -> None:
    fleet = ff.Fleet(write_data(tmp_path), Database(sqlite_url))
    file.write_text(file.read_text().replace("studies.db", "absent.db"))
    with pytest.raises(SearchError, match=r"^points_from: sqlite:///.* there is no such file$"):
        sweep_of(fleet, read_sweep(file))
    with pytest.raises(SpecError, match="points_from: no such argument of a sweep"):
        fleet.untrusted_sweep(read_sweep(file))  # as what comes by the API: it reads nothing
    fleet.close()
