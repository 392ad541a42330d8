"""Finding what a job printed: the log files where they are visible, else the database's tail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fitfleet.db.reading.lookup import JobRow
from fitfleet.settings import Settings


def log_path(settings: Settings, job_id: int, attempt: int) -> Path:
    """The file that attempt's output goes to."""
    return Path(settings.logs) / str(job_id) / f"attempt-{attempt}.log"


def text(settings: Settings, row: JobRow, attempts: list[dict[str, Any]]) -> str:
    """What the latest attempt printed; empty before the first."""
    path = log_path(settings, row.id, row.attempt)
    if path.is_file():
        return path.read_text(errors="replace")
    tails = [attempt["log_tail"] for attempt in attempts if attempt["log_tail"]]
    return str(tails[-1]) if tails else ""


def news(
    settings: Settings, row: JobRow, seen: dict[int, int], limit_bytes: int = -1
) -> Iterator[str]:
    """What was printed since the last call, by attempt; `seen` keeps the bytes read of each.

    With `limit_bytes`, at most this many of each attempt; the next call continues there.
    """
    first = max(seen, default=row.attempt)
    for attempt in range(max(first, 1), row.attempt + 1):
        path = log_path(settings, row.id, attempt)
        if not path.is_file():
            continue
        with path.open("rb") as file:
            file.seek(seen.get(attempt, 0))
            content = file.read(limit_bytes)
        seen[attempt] = seen.get(attempt, 0) + len(content)
        if content:
            yield content.decode(errors="replace")
