"""Limits on the JSON of a spec, checked before it is interpreted."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from fitfleet.errors import SpecError
from fitfleet.text import with_article

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 100_000
MAX_TEXT = 256
MAX_NUMBER = 1e12
MAX_DIGITS = 18


def parse(text: str, place: str) -> Any:
    """The parsed document. Raises SpecError if it is not JSON or goes beyond a bound."""
    check_bytes(text, place)
    try:
        document = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_int=_integer
        )
    except SpecError as error:
        raise SpecError(place, error.problem) from None
    except RecursionError:
        raise SpecError(place, f"it is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise SpecError(place, f"it is not JSON: {error}") from None
    check_document(document, place)
    return document


def check_bytes(text: str, place: str = "model") -> None:
    """Raises SpecError for a text of more than 1 MiB."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise SpecError(place, f"the spec has {size:,} bytes; at most {MAX_BYTES:,} are allowed")


def check_document(document: Any, place: str) -> None:
    """Raises SpecError if the document is too deep, too large, or contains an unusable value."""
    count = 0
    pending: list[tuple[Any, int, str]] = [(document, 0, place)]
    while pending:
        value, depth, at = pending.pop()
        count += 1
        if depth > MAX_DEPTH:
            raise SpecError(place, f"it is nested deeper than {MAX_DEPTH} levels")
        if count > MAX_NODES:
            raise SpecError(place, f"it has more than {MAX_NODES:,} values")
        if isinstance(value, dict):
            for key, part in value.items():
                if not isinstance(key, str) or len(key) > MAX_TEXT:
                    raise SpecError(at, f"{str(key)[:40]!r} is not usable as a key")
                pending.append((part, depth + 1, f"{at}.{key}"))
        elif isinstance(value, list | tuple):
            pending.extend((part, depth + 1, f"{at}[{i}]") for i, part in enumerate(value))
        else:
            _check_value(value, at)


def _check_value(value: Any, place: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise SpecError(place, f"the text has {len(value)} characters; at most {MAX_TEXT}")
    elif isinstance(value, int | float):
        if abs(value) > MAX_NUMBER or not math.isfinite(value):
            shown = "a number of many digits" if isinstance(value, int) else repr(value)
            raise SpecError(place, f"{shown} is out of range")
    else:
        raise SpecError(place, f"{with_article(type(value).__name__)} cannot be written as JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise SpecError("", f"the key {twice!r} is given twice")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise SpecError("", f"{name} is not a number that a spec may hold")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise SpecError("", f"an integer of {len(text)} digits is out of range")
    return int(text)
