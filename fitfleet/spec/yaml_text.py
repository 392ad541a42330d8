"""YAML as plain data: text, numbers, true and false, null, lists and mappings, nothing else.

It is read from the parser's events, so that no tag creates an object, duplicate keys are refused,
the values of aliases are counted, and depth needs no stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from fitfleet.errors import SpecError
from fitfleet.spec.limits import MAX_DIGITS

MAX_DEPTH = 200
MAX_COPIED = 100_000  # the most values of all aliases together
_TAG = "tag:yaml.org,2002:"
_NULL = ("", "~", "null", "Null", "NULL")
_TRUE = ("true", "True", "TRUE")
_FALSE = ("false", "False", "FALSE")
# Booleans in YAML 1.1, texts in YAML 1.2: a label "no", a column NO of country codes.
_WORDS = {"yes": True, "on": True, "no": False, "off": False}
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
# YAML 1.1 reads 1e-3 as text; as a learning rate it is a number.
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?\.(inf|Inf|INF))|(\.(nan|NaN|NAN))")


def load(text: str, place: str) -> Any:
    """The data of a YAML or JSON text. Raises SpecError that names the line."""
    import yaml

    parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(place)
    try:
        for event in yaml.parse(text, Loader=parser):
            reader.take(type(event).__name__, event)
    except yaml.YAMLError as error:
        raise SpecError(place, f"is not YAML: {_first_problem(error)}") from None
    except RecursionError:
        raise SpecError(place, "is nested too deeply") from None
    return reader.root


@dataclass
class _Open:
    """A list or mapping whose end has not been read."""

    value: Any
    anchor: str | None
    count: int = 1
    key: Any = None
    has_key: bool = False
    merged: list[Any] = field(default_factory=list)


_MERGE = object()


class _Reader:
    def __init__(self, place: str) -> None:
        self.root: Any = None
        self._place = place
        self._line = 0
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._copied = 0
        self._documents = 0

    def take(self, kind: str, event: Any) -> None:
        """The next event of the parser."""
        self._line = event.start_mark.line + 1 if event.start_mark else self._line
        if kind == "ScalarEvent":
            self._add(self._scalar(event), 1, event.anchor)
        elif kind == "AliasEvent":
            self._alias(event.anchor)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._begin(kind, event)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._end()
        elif kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                self._refuse("a second document begins; give one, with a list under `jobs`")

    def _refuse(self, problem: str) -> NoReturn:
        raise SpecError(self._place, f"line {self._line}: {problem}")

    def _begin(self, kind: str, event: Any) -> None:
        value: Any = [] if kind == "SequenceStartEvent" else {}
        wanted = "seq" if isinstance(value, list) else "map"
        if event.tag not in (None, "!", f"{_TAG}{wanted}"):
            self._refuse(_tagged(event.tag))
        if len(self._open) >= MAX_DEPTH:
            self._refuse(f"is nested deeper than {MAX_DEPTH} levels")
        self._open.append(_Open(value, event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        for part in done.merged:
            for key, value in part.items():
                done.value.setdefault(key, value)
        self._add(done.value, done.count, done.anchor)

    def _alias(self, name: str) -> None:
        if any(part.anchor == name for part in self._open):
            self._refuse(f"*{name[:40]} is used inside its own definition")
        if name not in self._anchors:
            self._refuse(f"*{name[:40]} is not defined above")
        value, count = self._anchors[name]
        self._copied += count
        if self._copied > MAX_COPIED:
            self._refuse(f"aliases stand for more than {MAX_COPIED:,} values")
        self._add(value, count, None)

    def _add(self, value: Any, count: int, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = (value, count)
        if not self._open:
            self.root = value
            return
        parent = self._open[-1]
        parent.count += count
        if isinstance(parent.value, list):
            parent.value.append("<<" if value is _MERGE else value)
        elif not parent.has_key:
            self._add_key(parent, value)
        else:
            self._add_value(parent, "<<" if value is _MERGE else value)

    def _add_key(self, parent: _Open, key: Any) -> None:
        if isinstance(key, list | dict):
            self._refuse("a list or mapping cannot be a key")
        if key is not _MERGE and key in parent.value:
            self._refuse(f"the key {str(key)[:40]!r} is given twice")
        parent.key, parent.has_key = key, True

    def _add_value(self, parent: _Open, value: Any) -> None:
        parent.has_key = False
        if parent.key is not _MERGE:
            parent.value[parent.key] = value
            return
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            self._refuse("<< takes a mapping or a list of mappings")
        parent.merged += parts

    def _scalar(self, event: Any) -> Any:
        text, tag = event.value, event.tag
        if any("\ud800" <= char <= "\udfff" for char in text):
            self._refuse("a lone surrogate, half of a character, is not text")
        if tag in ("!", f"{_TAG}str") or (tag is None and not event.implicit[0]):
            return text
        if tag is not None and tag not in [f"{_TAG}{k}" for k in ("int", "float", "bool", "null")]:
            self._refuse(_tagged(tag))
        if tag == f"{_TAG}bool" and _is_word(text):
            return _WORDS[text.lower()]
        value = self._plain(text)
        if tag is not None and not _is_of(value, tag.removeprefix(_TAG)):
            self._refuse(f"{text[:40]!r} is not of type {tag.removeprefix(_TAG)}")
        return float(value) if tag == f"{_TAG}float" else value

    def _plain(self, text: str) -> Any:
        if text in _NULL:
            return None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        if text == "<<":
            return _MERGE
        if _is_word(text):
            meant = str(_WORDS[text.lower()]).lower()
            self._refuse(
                f"{text!r} is {meant} in YAML 1.1 and text in YAML 1.2; write {meant}, or the word"
                " in quotes where it is text"
            )
        if _LEADING_ZERO.fullmatch(text):
            self._refuse(
                f"{text[:40]!r} is octal in YAML 1.1 and decimal in YAML 1.2; write the number"
                " without leading zeros, or in quotes where it is text"
            )
        if _INTEGER.fullmatch(text):
            return self._integer(text.replace("_", ""))
        if _SPECIAL.fullmatch(text) or _FLOAT.fullmatch(text):
            return float(re.sub(r"_|\.(?=[a-zA-Z])", "", text))
        return text

    def _integer(self, text: str) -> int:
        if len(text) > MAX_DIGITS + 2:
            self._refuse(f"an integer of {len(text):,} digits is out of range")
        return int(text, 0)


def _is_word(text: str) -> bool:
    return text.lower() in _WORDS and text in (text.lower(), text.upper(), text.capitalize())


def _is_of(value: Any, kind: str) -> bool:
    if kind == "null":
        return value is None
    if kind == "bool":
        return isinstance(value, bool)
    numbers = int if kind == "int" else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool)


def _tagged(tag: str) -> str:
    shown = tag.replace(_TAG, "!!")[:60]
    return f"is not YAML of plain data: the tag {shown} makes an object; drop it"


def _first_problem(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be parsed"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else str(problem)
