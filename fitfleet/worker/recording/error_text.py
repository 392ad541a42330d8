"""An error's whole message as one paragraph: what Keras explains, without its traces and arrays."""

from __future__ import annotations

import re

MAX_CHARACTERS = 2_000
# Lines in which TensorFlow names the graph node and the file.
_TRACE = re.compile(
    r"^(Graph execution error:|Detected at node |File \"|Stack trace for op|Original stack trace"
    r"|Traceback |\[\[|\[Op:)"
)
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_OF_GRAPH = re.compile(r"\s*\[\[\{\{node .*?\}\}\]\]|\s*\[Op:\w+\]|\{\{function_node [^{}]*\}\}\s*")
# Numbers in brackets: shapes are short, arrays are not.
_ARRAY = re.compile(r"\[[\[\]\s\d.,eE+\-]{60,}(\]|\.\.\.)")


def explanation(error: BaseException) -> str:
    """What the error says, or its class's name where it says nothing."""
    kept: list[str] = []
    for line in _COLOUR.sub("", _text(error)).splitlines():
        plain = " ".join(line.split())
        if plain.startswith("Arguments received by"):
            break  # the tensors of a call, at the end of what Keras explains
        if plain and not _TRACE.match(plain):
            kept.append(plain)
    text = _OF_GRAPH.sub("", " ".join(kept)).partition("Label values:")[0].strip()
    return _shortened(_ARRAY.sub("[...]", text)) or type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # the `__str__` of a user's class may raise too
        return ""


def _shortened(text: str) -> str:
    """Whole sentences, as many as fit."""
    if len(text) <= MAX_CHARACTERS:
        return text
    head = text[:MAX_CHARACTERS]
    end = head.rfind(". ")
    return head[: end + 1] if end > 0 else f"{head.rsplit(' ', 1)[0]} [...]"
