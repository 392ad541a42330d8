"""The demo as `make demo` runs it, twice, in a small size."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cases import EXAMPLES

pytestmark = pytest.mark.slow


def demo(folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--epochs", "2"]
    run = subprocess.run(
        [*command, "--directory", str(folder)], capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    folder = tmp_path_factory.mktemp("demo") / "a folder"
    return folder, demo(folder), demo(folder)


def test_it_compares_six_jobs_and_draws_a_picture(runs: tuple[Path, str, str]) -> None:
    folder, first, _ = runs
    assert "6 jobs, best is job" in first
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_second_run_says_what_it_did_not_run_again(runs: tuple[Path, str, str]) -> None:
    _, first, second = runs
    assert "already done" not in first
    assert "6 of 6 jobs were already done" in second


def test_the_query_that_it_gives_works(runs: tuple[Path, str, str]) -> None:
    _, first, _ = runs
    command = re.search(r"or from a shell:\n  (.*)", first)
    assert command is not None
    answer = subprocess.run(command[1], shell=True, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "val_loss" in answer.stdout
