"""What services log: time, level, no password; what repeats is counted."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fitfleet.cli.main import app
from fitfleet.service_log import Repeats


def passed(times: list[float], name: str, messages: list[str], level: int) -> list[str]:
    """What a filter lets pass of messages at these times."""
    repeats, lines = Repeats(), []
    for at, message in zip(times, messages, strict=True):
        record = logging.LogRecord(name, level, "", 0, message, (), None)
        record.created = at
        if repeats.filter(record):
            lines.append(record.getMessage())
    return lines


def test_what_a_library_repeats_is_reported_once_and_then_counted() -> None:
    messages = [f"cannot connect; again in {n}.00 seconds" for n in range(1, 6)]
    assert passed([0.0, 1.0, 3.0, 6.0, 700.0], "celery.worker", messages, logging.ERROR) == [
        "cannot connect; again in 1.00 seconds",
        "cannot connect; again in 5.00 seconds (3 more times before)",
    ]


def test_each_callback_of_fitfleet_has_its_job_and_progress_is_not_delayed() -> None:
    messages = ["job 1 was lost", "job 2 was lost", "job 1 was lost"]
    assert passed([0.0, 1.0, 2.0], "fitfleet.x", messages, logging.WARNING) == messages[:2]
    assert passed([0.0, 1.0, 2.0], "fitfleet.x", messages, logging.INFO) == messages


@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_a_level_that_there_is_not_is_one_sentence(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--log-level", "loud"])
    assert result.exit_code == 2
    assert result.stderr == ("error: log_level: 'loud' is not one of debug, info, warning, error\n")


CODE = """
import logging, os, sys
from fitfleet.service_log import log_start, start_logging
from fitfleet.settings import Settings
settings = Settings(database_url="postgresql://u:s3cret@h/d", queue="gpu", log_level="{level}",
                    log_format="{form}")
start_logging(settings)
log_start("worker", settings)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # as while a job prints
logging.getLogger("fitfleet.worker").info("job 1 started %s", chr(27))
logging.getLogger("celery").info("not told")
logging.getLogger("fitfleet.worker").warning("job 1 failed", extra=dict(job=1, attempt=2))
"""


def test_lines_have_time_and_level_and_no_password() -> None:
    def lines(level: str, form: str = "text") -> list[str]:
        code = CODE.format(level=level, form=form)
        process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return process.stderr.splitlines()

    told = lines("info")
    assert len(told) == 4 and "s3cret" not in "".join(told) and "\x1b" not in "".join(told)
    for line, level in zip(told, ("INFO", "INFO", "INFO", "WARNING"), strict=True):
        assert re.match(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{{4}} {level} ", line)
    assert "worker started: fitfleet " in told[0]
    assert "database_url='postgresql://u:***@h/d'" in told[1] and "queue='gpu'" in told[1]
    assert [line.split(maxsplit=2)[2] for line in lines("warning")] == ["job 1 failed"]
    objects = [json.loads(line) for line in lines("info", "json")]
    assert [line["level"] for line in objects] == ["info", "info", "info", "warning"]
    assert "job" not in objects[0] and "s3cret" not in str(objects)
    assert {k: v for k, v in objects[3].items() if k != "time"} == {
        "level": "warning", "logger": "fitfleet.worker", "message": "job 1 failed",
        "job": 1, "attempt": 2,
    }  # fmt: skip
