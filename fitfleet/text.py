"""Untrusted text, escaped for display: names, parameters, columns and logs are input."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATIONS = "seconds, or '90s', '30m', '1h', '2d'"


def printable(text: object, *, keep: str = "") -> str:
    """The text with what is no printable character, and not in `keep`, as an escape: `\\x1b`.

    Escape sequences of terminals, changes of direction and halves of characters do nothing then.
    """
    return "".join(
        ch if ch.isprintable() or ch in keep else ch.encode("unicode_escape").decode("ascii")
        for ch in str(text)
    )


def printable_lines(text: object) -> str:
    """The same for text of several lines; a carriage return begins a new one."""
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    return printable(plain, keep="\n\t")


def first_line(error: BaseException, max_characters: int) -> str:
    """The first line of an error's message, cut; the name of its class if there is none."""
    return str(error).splitlines()[0][:max_characters] if str(error) else type(error).__name__


def duration(seconds: float | None) -> str:
    """A length of time as people say it: 8 s, 3 min 12 s, 2 h 05 min."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def duration_s(text: object) -> float | None:
    """`90`, `"90s"`, `"30m"`, `"1h"`, `"2d"` in seconds; None for what is no positive duration."""
    if isinstance(text, bool):
        return None
    words = str(text).strip()
    number, unit = (words[:-1], _UNITS[words[-1]]) if words[-1:] in _UNITS else (words, 1.0)
    with contextlib.suppress(ValueError):
        seconds = float(number) * unit
        if 0 < seconds < float("inf"):
            return seconds
    return None


def with_article(noun: object) -> str:
    """`an int`, `a list`."""
    return f"{'an' if str(noun)[:1].lower() in 'aeiou' else 'a'} {noun}"


def named_kind(value: object) -> str:
    """What a value is: `an int`, `a list`."""
    return with_article(type(value).__name__)


def html(text: object) -> str:
    """The text for a page of HTML."""
    return escape(printable(text, keep="\n"))


def html_table(header: Sequence[object], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """A table of HTML; text is escaped. The note is a line below it."""
    head = "".join(f"<th>{html(name)}</th>" for name in header)
    lines = ["".join(f"<td>{html(value)}</td>" for value in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join(f"<p>{html(line)}</p>" for line in note.splitlines())
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>{below}"


def size(count: float | None) -> str:
    """Bytes as people say them: 512 B, 3.4 MiB; empty for None."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def plain_warnings() -> None:
    """Let each UserWarning be a sentence on stderr from here on, each time it comes."""
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(printable_lines(f"warning: {message}"), file=sys.stderr)
