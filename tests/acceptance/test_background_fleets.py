"""A fleet that stays between scripts: started, joined, replaced, ended, each by real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.waiting import until

import fitfleet as ff
from fitfleet.embedded.background_handle import JoinedFleet
from fitfleet.embedded.background_record import Record, Stay, seconds_of
from fitfleet.errors import FitfleetError, SettingsError


@pytest.fixture
def stay(tmp_path: Path) -> Iterator[Stay]:
    stay = Stay(tmp_path / "fleet")
    yield stay
    stay.end()


def kept(stay: Stay, keep: str = "1h", **given: object) -> Record:
    """Start or join the fleet, and leave it. Without workers, which take seconds to start."""
    with ff.local(workers=0, directory=stay.directory, keep=keep, **given) as fleet:
        assert isinstance(fleet, JoinedFleet)
    record = stay.read()
    assert record is not None
    return record


def is_gone(pid: int) -> bool:
    """One that has ended counts, though nobody may have asked for its exit code yet."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def processes(record: Record) -> list[psutil.Process]:
    keeper = psutil.Process(record.pid)
    return [keeper, *keeper.children(recursive=True)]


def test_it_stays_for_the_next_script_and_ends_on_request(stay: Stay) -> None:
    first = kept(stay)
    for _ in range(5):
        assert kept(stay).pid == first.pid
    with ff.local(workers=0, directory=stay.directory) as fleet:
        assert isinstance(fleet, JoinedFleet)
    all_of_it = processes(first)
    assert len(all_of_it) > 1  # and the broker
    assert stay.end()
    assert not stay.end()
    until(lambda: all(is_gone(p.pid) for p in all_of_it))


def test_without_one_a_script_has_a_fleet_of_its_own(stay: Stay) -> None:
    with ff.local(workers=0, directory=stay.directory) as fleet:
        assert not isinstance(fleet, JoinedFleet)
    assert stay.read() is None


@pytest.mark.slow
def test_one_of_other_settings_versions_or_environment_is_replaced(
    stay: Stay, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept(stay)
    second = kept(stay, checkpoint_s=1.0)
    assert second.pid != first.pid and is_gone(first.pid)
    monkeypatch.setattr(ff, "__version__", "99")
    third = kept(stay, checkpoint_s=1.0)
    assert third.pid != second.pid
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    with ff.local(workers=0, directory=stay.directory, checkpoint_s=1.0) as fleet:
        assert not isinstance(fleet, JoinedFleet)
    assert stay.read() is None


def test_one_that_a_script_uses_is_left_alone(stay: Stay) -> None:
    with ff.local(workers=0, directory=stay.directory, keep="1h"):
        record = stay.read()
        assert record is not None
        with ff.local(workers=0, directory=stay.directory, checkpoint_s=1.0) as fleet:
            assert not isinstance(fleet, JoinedFleet)
        with pytest.raises(FitfleetError, match="a script uses it"):
            kept(stay, checkpoint_s=1.0)
        assert stay.read() == record


@pytest.mark.slow
def test_the_record_of_another_version_is_read(stay: Stay) -> None:
    first = kept(stay)
    stay.write(Record(first.pid))
    assert kept(stay).pid != first.pid


@pytest.mark.slow
def test_one_whose_trusted_module_has_changed_is_replaced(stay: Stay, tmp_path: Path) -> None:
    module = tmp_path / "losses.py"
    module.write_text("A = 1\n")
    given = {"trusted_modules": "losses", "module_path": (str(tmp_path),)}
    first = kept(stay, **given)
    assert kept(stay, **given).pid == first.pid
    module.write_text("A = 22\n")
    assert kept(stay, **given).pid != first.pid


@pytest.mark.slow
def test_it_ends_when_nobody_uses_it(stay: Stay) -> None:
    with ff.local(workers=0, directory=stay.directory, keep=0.5):
        time.sleep(2.0)
        record = stay.read()
        assert record is not None  # a script is there
    until(lambda: not stay.is_up())
    until(lambda: is_gone(record.pid))


@pytest.mark.slow
def test_the_time_that_it_is_kept_can_be_changed(stay: Stay) -> None:
    first = kept(stay, "1h")
    second = kept(stay, "2h")
    assert (second.pid, second.keep_s) == (first.pid, 7200.0)
    kept(stay, "0.1s")
    until(lambda: not stay.is_up())


@pytest.mark.slow
def test_after_a_kill_another_is_started(stay: Stay) -> None:
    first = kept(stay)
    with ff.local(workers=0, directory=stay.directory, keep="1h") as fleet:
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: not stay.is_up())
        with pytest.raises(FitfleetError, match="has ended"):
            fleet.submit_many([])
            fleet._on_poll()
    assert kept(stay).pid != first.pid


def test_one_that_cannot_start_says_why(stay: Stay) -> None:
    stay.directory.mkdir()
    (stay.directory / "broker").write_text("in the way")
    with pytest.raises(FitfleetError, match="broker's folder cannot be used"):
        kept(stay)
    assert stay.read() is None


@pytest.mark.slow
def test_scripts_that_start_at_once_share_one(stay: Stay) -> None:
    script = (
        "import sys, fitfleet as ff\n"
        "from fitfleet.embedded.background_record import Stay\n"
        "with ff.local(workers=0, directory=sys.argv[1], keep='1h') as fleet:\n"
        "    print(Stay(fleet._stay.directory).read().pid)\n"
    )
    command = [sys.executable, "-c", script, str(stay.directory)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = {process.communicate(timeout=60)[0] for process in running}
    assert len(printed) == 1 and printed.pop().strip().isdigit()


def test_up_status_and_down_work(stay: Stay, tmp_path: Path) -> None:
    def fitfleet(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fitfleet", *arguments, "--directory", "fleet"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert fitfleet("status").returncode == 3
    assert "no background fleet" in fitfleet("down").stdout
    done = fitfleet("up", "--workers", "0", "--keep", "30m")
    assert done.returncode == 0 and done.stdout.startswith("started: "), done
    assert fitfleet("up", "--workers", "0").stdout.startswith("already running: ")
    document = json.loads(fitfleet("status", "--json").stdout)
    record = stay.read()
    assert record is not None
    assert (document["is_up"], document["pid"], document["keep_s"]) == (True, record.pid, 3600.0)
    assert fitfleet("down").stdout.startswith("stopped: ")
    assert is_gone(record.pid)


@pytest.mark.parametrize(
    ("keep", "seconds"), [("90", 90), ("90s", 90), (2.5, 2.5), ("1.5h", 5400), ("2d", 172_800)]
)
def test_keep_takes_a_duration_in_words(keep: str | float, seconds: float) -> None:
    assert seconds_of(keep) == seconds


@pytest.mark.parametrize("keep", ["", "h", "-1", "0", "soon", "inf", "nan", True])
def test_keep_rejects_what_is_no_duration(keep: str | float) -> None:
    with pytest.raises(SettingsError, match="keep: "):
        seconds_of(keep)
