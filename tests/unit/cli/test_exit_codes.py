"""Exit codes and the options that say which fleet."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fitfleet import errors
from fitfleet.cli.command import Target, sqlite_file
from fitfleet.cli.exit_codes import exit_code
from fitfleet.cli.main import app
from fitfleet.client.doctor import doctor
from fitfleet.client.doctor.doctor import intervals
from fitfleet.db.migrations.revisions import newest_version
from fitfleet.settings import Settings
from fitfleet.urls import without_password


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.JobFailedError("x"), 1),
        (errors.WaitTimeoutError("x"), 1),
        (errors.SpecError("model", "x"), 2),
        (errors.DatasetError("x"), 2),
        (errors.NotFoundError("x"), 2),
        (errors.StateError("x"), 2),
        (errors.StorageError("x"), 2),
        (errors.MissingExtraError("tensorflow", "worker"), 2),
        (errors.DatabaseError("x"), 3),
        (errors.BrokerError("x"), 3),
    ],
)
def test_every_error_has_its_code(error: errors.FitfleetError, code: int) -> None:
    assert exit_code(error) == code


def test_a_directory_gives_all_places_and_an_option_wins(tmp_path: Path) -> None:
    settings = Target(tmp_path, {"storage": "/else", "database_url": None}).settings()
    assert settings.database_url == f"sqlite:///{tmp_path}/fleet.db"
    assert settings.storage == "/else"
    assert settings.logs == str(tmp_path / "logs")


def test_only_sqlite_urls_have_a_file() -> None:
    assert sqlite_file("sqlite:////a/b.db") == Path("/a/b.db")
    assert sqlite_file("postgresql://u:p@h/d") is None


def test_every_command_has_help_and_fleet_options() -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["--help"])
    assert listed.exit_code == 0
    for name in ("run", "submit", "ps", "show", "watch", "logs", "compare", "export", "doctor"):
        result = runner.invoke(app, [name, "--help"], env={"COLUMNS": "120"})
        assert result.exit_code == 0
        assert "--database-url" in result.output


def test_an_unknown_option_is_bad_input() -> None:
    assert CliRunner().invoke(app, ["ps", "--nonsense"]).exit_code == 2


def test_a_setting_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "fitfleet.toml").write_text("lease = 3")
    config = {"FITFLEET_CONFIG": str(tmp_path / "fitfleet.toml")}
    result = CliRunner().invoke(app, ["settings"], env=config)
    assert result.exit_code == 2
    assert result.stderr == "error: lease: no such setting; did you mean lease_s?\n"


def test_passwords_are_not_printed() -> None:
    assert without_password("redis://u:secret@host:1/0") == "redis://u:***@host:1/0"
    assert without_password("redis://host:1/0") == "redis://host:1/0"


def test_where_there_is_no_fleet_lists_are_empty_and_the_rest_says_so(tmp_path: Path) -> None:
    runner = CliRunner()
    place = ["--directory", str(tmp_path)]
    listed = runner.invoke(app, ["ps", *place])
    assert (listed.exit_code, listed.stdout.splitlines()) == (
        0,
        ["No fleet here yet. Start one with: fitfleet run job.yaml"],
    )
    assert runner.invoke(app, ["ps", "--json", *place]).stdout == "[]\n"
    shown = runner.invoke(app, ["show", "1", *place])
    assert shown.exit_code == 3
    assert "there is no fleet in" in shown.stderr
    assert not list(tmp_path.iterdir())


def test_the_version_is_shown() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout.startswith("fitfleet ")


def test_an_experiment_that_does_not_exist_is_bad_input(tmp_path: Path) -> None:
    place = ["--directory", str(tmp_path)]
    upgraded = CliRunner().invoke(app, ["db", "upgrade", *place])
    assert f"created at schema {newest_version()}" in upgraded.stdout
    assert "already" in CliRunner().invoke(app, ["db", "upgrade", *place]).stdout
    for words in (["cancel", "-e"], ["watch", "-e"], ["pause"], ["resume"]):
        result = CliRunner().invoke(app, [*words, "nothere", *place])
        assert (result.exit_code, result.stderr) == (
            2,
            "error: nothere: no such experiment; there is none yet\n",
        )
    assert "No unfinished jobs." in CliRunner().invoke(app, ["cancel", "--all", *place]).stdout


def test_compare_without_an_experiment_says_how_to_get_one(tmp_path: Path) -> None:
    place = ["--directory", str(tmp_path)]
    assert CliRunner().invoke(app, ["db", "upgrade", *place]).exit_code == 0
    result = CliRunner().invoke(app, ["compare", *place])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: no experiments yet; run a file of jobs with: fitfleet run jobs.yaml\n",
    )


def test_a_busy_host_is_no_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_START_S", 0.01)
    (finding,) = doctor._devices(Settings())
    assert not finding.is_ok and finding.fix.startswith("try again when the host is less busy")


def test_doctor_sees_a_lease_of_fewer_than_three_heartbeats() -> None:
    (check,) = intervals(Settings(lease_s=5.0))
    assert not check.is_ok and check.detail == "lease_s is 5, heartbeat_s 2"
    assert "FITFLEET_LEASE_S" in check.fix
    assert intervals(Settings()) == []


@pytest.mark.parametrize("value", [True, False])
def test_a_setting_that_is_a_truth_reaches_a_worker_as_it_is(
    value: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in Settings(data_root_only=value).to_environment().items():
        monkeypatch.setenv(name, text)
    assert Settings.load().data_root_only is value
    monkeypatch.setenv("FITFLEET_DATA_ROOT_ONLY", "perhaps")
    with pytest.raises(errors.SettingsError, match="data_root_only: 'perhaps' is not a bool"):
        Settings.load()
