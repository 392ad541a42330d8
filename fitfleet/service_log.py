"""What services log, on their standard error: time, level and one sentence."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from importlib.metadata import version
from platform import python_version
from typing import Any

from fitfleet.errors import SettingsError
from fitfleet.settings import Settings
from fitfleet.text import printable_lines

_LEVELS = ("debug", "info", "warning", "error")
_AGAIN_S = 600.0
_NUMBER = re.compile(r"\d+([.,]\d+)?")
_OURS = "fitfleet"

_log = logging.getLogger("fitfleet.service")


def start_logging(settings: Settings) -> None:
    """Log to standard error, from `log_level` on; of libraries warnings and errors.

    SettingsError for a level that there is not.
    """
    level = settings.log_level.lower()
    if level not in _LEVELS:
        raise SettingsError(f"log_level: {level!r} is not one of {', '.join(_LEVELS)}")
    # A descriptor of its own: what a job prints, 1 and 2, goes to the job's log meanwhile.
    stream = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    handler = logging.StreamHandler(stream)
    text = _Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else text)
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(level.upper())


def log_start(what: str, settings: Settings) -> None:
    """Say what has started, and the settings that are not the default; no password."""
    _log.info("%s started: fitfleet %s, Python %s", what, version("fitfleet"), python_version())
    shown, defaults = settings.shown(), {name: default for name, default, _ in Settings.table()}
    changed = [f"{name}={shown[name]!r}" for name in shown if shown[name] != defaults[name]]
    _log.info("settings that are not the default: %s", ", ".join(changed) or "none")


class _Formatter(logging.Formatter):
    """Times as ISO 8601 with the offset from UTC; nothing that a terminal would obey."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))


class _JsonFormatter(_Formatter):
    """An object a line: time, level, logger, message; job and attempt where it is of one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: vars(record)[name] for name in ("job", "attempt") if name in vars(record)}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Repeats(logging.Filter):
    """Lets a warning or an error pass once in ten minutes, with how often it came meanwhile.

    Numbers in the messages of libraries do not count: Celery says after how many seconds it tries
    again, each time another.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[int, str], tuple[float, int]] = {}  # said at, times since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text = record.getMessage()
        if not record.name.startswith(_OURS):
            record.exc_info = record.exc_text = None  # a lost connection is no defect
            text = _NUMBER.sub("#", text)
        said_at, count = self._seen.get((record.levelno, text), (float("-inf"), 0))
        if record.created - said_at < _AGAIN_S:
            self._seen[record.levelno, text] = said_at, count + 1
            return False
        self._seen[record.levelno, text] = record.created, 0
        if count:
            record.msg, record.args = f"{record.getMessage()} ({count} more times before)", ()
        return True
