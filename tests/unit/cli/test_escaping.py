"""Names, parameters, columns and logs are shown, and do nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

import fitfleet as ff
from fitfleet.analysis.columns import named, param_columns
from fitfleet.analysis.exports.tables import write_csv, write_parquet
from fitfleet.analysis.plots.box import plot_box
from fitfleet.analysis.plots.curves import plot_curves
from fitfleet.analysis.plots.parallel import plot_parallel
from fitfleet.cli.main import app
from fitfleet.cli.output import console, frame_table, pairs_table, title
from fitfleet.client.display.display import Display
from fitfleet.client.display.progress_snapshot import RunningJob, Snapshot
from fitfleet.db.schema.tables import jobs
from fitfleet.db.session import Database
from fitfleet.errors import SpecError
from fitfleet.settings import Settings, directory_settings
from fitfleet.states import JobStatus
from fitfleet.text import printable, printable_lines

pytestmark = pytest.mark.filterwarnings("ignore:.*kept in the database")

ESC = "\x1b]0;PWNED\x07\x1b[2J"
NAMES = ("[/x]", "[link=https://evil.example]demo[/link]", ":smiley:", "[bold]")
SCRIPT = "</script><script>alert(1)</script><img src=x>"


def test_what_is_not_printable_is_an_escape() -> None:
    assert printable(ESC) == r"\x1b]0;PWNED\x07\x1b[2J"
    assert printable("a\nb\u202e\ud800é") == r"a\nb\u202e\ud800é"
    assert printable_lines("a\r\nb\rc\td\x00") == "a\nb\nc\td\\x00"
    assert str(SpecError(ESC, "is\nrefused")) == r"\x1b]0;PWNED\x07\x1b[2J: is" + "\nrefused"


@pytest.mark.parametrize("name", [*NAMES, ESC])
def test_tables_show_names_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({name: [name], "n": [1]})
    console().print(frame_table(frame))
    console().print(pairs_table([(name, name)]))
    console().print(title(name, f", best {name} first"))
    shown = capsys.readouterr().out
    assert shown.count(printable(name)) == 6 and "\x1b" not in shown


@pytest.mark.parametrize("name", [*NAMES, ESC])
def test_the_live_display_shows_names_as_they_are(name: str) -> None:
    running = [
        RunningJob(
            id=n, experiment=name, params={name: f"{name}{n}"}, epoch=1, epochs=2, seed=n,
            fold=None, last={name: 1.0}, worker=name, seconds_left=1.0,
        )
        for n in (1, 2)
    ]  # fmt: skip
    screen = Console(width=300, record=True, force_terminal=False)
    display = Display(screen)
    screen.print(display.render(Snapshot({JobStatus.RUNNING: 2}, 1, 4, running, 1, [name])))
    shown = screen.export_text()
    assert printable(name) in shown and "\x1b" not in shown


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    np.savez(tmp_path / "d.npz", x=np.zeros((8, 4), "f4"), y=np.zeros((8, 1), "f4"))
    places = directory_settings(tmp_path / "fleet")
    settings = Settings(**places, broker_url="redis://127.0.0.1:1/0", data_root=str(tmp_path))
    database = Database(settings.database_url)
    database.upgrade()
    with ff.Fleet(settings, database) as fleet:
        job: dict[str, Any] = {
            "model": ff.Sequential([ff.layers.Input((4,)), ff.layers.Dense(1)]),
            "dataset": "d.npz",
            "loss": "mse",
        }
        for seed, name in enumerate((*NAMES, "plain")):
            fleet.submit(**job, experiment=name, params={name: name}, seed=seed)
        with fleet.database.begin() as c:  # rows of those who did not ask submit
            c.execute(jobs.update().values(params=json.dumps({ESC: ESC})))
        assert "\x1b" not in repr(fleet.job(1))
        log = Path(settings.logs) / "1" / "attempt-0.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"epoch 1\n{ESC}\n")
    yield settings


def test_commands_show_what_others_wrote(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        'model: {Sequential: [{Dense: {"\\e]0;PWNED\\a": 1}}]}\ndataset: d.npz\nloss: mse\n'
    )
    for command in (
        ["ps"],
        ["show", "1"],
        ["logs", "1"],
        ["compare", "[/x]", "--all"],
        ["compare", ESC],
        ["ps", "--json"],
        ["submit", str(tmp_path / "bad.yaml")],
    ):
        done = CliRunner().invoke(app, [*command, "--directory", str(tmp_path / "fleet")])
        shown = done.stdout + done.stderr
        assert done.exit_code in (0, 2) and isinstance(done.exception, SystemExit | None), shown
        assert "\x1b" not in shown and "PWNED" in shown, (command, shown)
        assert command != ["ps"] or all(name in shown for name in NAMES)


def test_a_csv_file_has_no_formulas_and_a_parquet_file_no_halves(tmp_path: Path) -> None:
    words = ["=cmd|'/c calc'!A1", "+1", "-1", "@x", "plain", "a\x1b"]
    table = pd.DataFrame({"=name": words, "n": [-1, 2, -3, 4, 5, 6], "\x1b": [1.5] * 6})
    with write_csv(table, tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=name", "n", r"\x1b"]
    assert [row[0] for row in rows[1:5]] == ["'=cmd|'/c calc'!A1", "'+1", "'-1", "'@x"]
    assert rows[5][0] == "plain" and rows[6][0] == r"a\x1b"
    assert [row[1] for row in rows[1:]] == ["-1", "2", "-3", "4", "5", "6"]
    back = pd.read_parquet(write_parquet(table, tmp_path / "o.parquet"))
    assert list(back["=name"][:5]) == words[:5] and back["n"].tolist() == table["n"].tolist()


def test_pictures_show_names_as_they_are(tmp_path: Path) -> None:
    trials = pd.DataFrame({"trial": [0, 1], SCRIPT: [SCRIPT, "b"], "val_loss": [0.1, 0.2]})
    for text in (
        plot_parallel(trials, [SCRIPT], "val_loss", "minimize", tmp_path / "p.html", title=SCRIPT),
        plot_box({SCRIPT: [1.0, 2.0], "b": [2.0]}, SCRIPT, tmp_path / "b.html", title=SCRIPT),
    ):
        html = text.read_text()
        assert "<script>alert" not in html and "<img src=x" not in html
    history = pd.DataFrame({"epoch": [1, 2], "loss": [1.0, 2.0]})
    for name in (r"$\frac$", "$a_b$ and $c", "a" * 5000, "\x00\ud800", "\n" * 500):
        plot_curves({name: history}, tmp_path / "c.png", title=name)
        plot_box({name: [1.0, 2.0]}, name, tmp_path / "b.svg", title=name)
        whole = named({name: name}, param_columns([name], []))
        ((column, value),) = whole.items()
        trials = pd.DataFrame({"trial": [0, 1], column: [value, "b"], "loss": [0.1, 0.2]})
        plot_parallel(trials, [column], "loss", "minimize", tmp_path / "p.png", title=name)
