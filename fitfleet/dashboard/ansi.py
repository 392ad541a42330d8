"""Text of programs as HTML: colours of a terminal are shown, all other control is left out."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_COLOUR = re.compile(r"\x1b\[([0-9;]{0,40})m")
# Cursor movements, titles and links of a terminal, and what is left of control characters.
_OTHER = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069]"
)


def plain(text: str) -> str:
    """Without any control but tabs and line ends."""
    return _OTHER.sub("", _COLOUR.sub("", _lines(text)))


def html(text: str) -> Markup:
    """Escaped, with a span for each run of colour."""
    pieces: list[Markup] = []
    classes: list[str] = []
    # Every second piece is the list of codes between two texts.
    for i, piece in enumerate(_COLOUR.split(_lines(text))):
        if i % 2:
            classes = _changed(classes, piece)
            continue
        shown = escape(_OTHER.sub("", piece))
        if shown and classes:
            shown = Markup('<span class="{}">{}</span>').format(" ".join(classes), shown)
        pieces.append(shown)
    return Markup("").join(pieces)


def _lines(text: str) -> str:
    """A line that was written over is as it was last: progress bars do so."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _changed(classes: list[str], codes: str) -> list[str]:
    for code in (int(part) for part in (codes or "0").split(";") if part[:3].isdigit()):
        if code == 0:
            classes = []
        elif code == 1:
            classes = [*classes, "ansi-bold"]
        elif 30 <= code <= 37 or 90 <= code <= 97:
            kept = [name for name in classes if name == "ansi-bold"]
            classes = [*kept, f"ansi-{_NAMES[code % 10]}"]
        elif code == 39:
            classes = [name for name in classes if name == "ansi-bold"]
    return classes
