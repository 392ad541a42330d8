"""Templates, and how values are written on pages."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fitfleet.dashboard import ansi
from fitfleet.text import duration, size

FOLDER = Path(__file__).parent


def environment(root: str) -> Environment:
    """Escapes everything; a name that is not there is an error."""
    jinja = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(
        number=number,
        duration=duration,
        ago=ago,
        plain=plain,
        ansi=ansi.html,
        size=size,
        pretty=pretty,
        plain_lines=plain_lines,
    )
    jinja.globals.update(root=root, link=link_under(root), zip=zip)
    return jinja


def link_under(root: str) -> Any:
    """`link("/experiment", name="digits")` -> `/prefix/experiment?name=digits`."""

    def link(path: str, **query: Any) -> str:
        given = {k: v for k, v in query.items() if v not in (None, "", [], ())}
        return f"{root}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")

    return link


def number(value: Any) -> str:
    """Four digits of a float, all of an integer; text as it is, without control characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, int):
        return str(value)
    return plain(value if isinstance(value, str) else json.dumps(value))


def plain(value: Any) -> str:
    """Text on one line, without control characters."""
    return " ".join(ansi.plain(str(value)).split())


def ago(at: float | None) -> Markup:
    """A moment; the page says how long ago it was, and keeps that up to date."""
    if at is None:
        return Markup("")
    iso = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" data-at="{:.3f}">{}</time>').format(
        iso, at, iso.replace("T", " ").removesuffix("+00:00")
    )


def pretty(document: Any) -> str:
    """JSON to be read by people."""
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)


def params_text(params: Mapping[str, Any], names: list[str] | None = None) -> str:
    """`units=32, rate=0.001`; with `names` only these."""
    chosen = params if names is None else [n for n in names if n in params]
    return ", ".join(f"{plain(name)}={number(params[name])}" for name in chosen)


def plain_lines(text: str) -> str:
    """Text of several lines, without control characters."""
    return ansi.plain(text)
