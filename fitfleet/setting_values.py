"""Values of settings: from text, within bounds, and back to text."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fitfleet.errors import SettingsError
from fitfleet.text import with_article
from fitfleet.urls import is_url

_MAX_NUMBER = 2**62  # what a database still takes, as seconds or bytes


def converted(name: str, value: Any, default: Any) -> Any:
    """The value in the type of its default; SettingsError if it is none."""
    try:
        if isinstance(default, tuple):
            parts = value.split(os.pathsep) if isinstance(value, str) else value
            return tuple(str(part) for part in parts if str(part))
        if isinstance(default, bool) and isinstance(value, str):
            return _TRUTHS[value.strip().lower()]
        return type(default)(value)
    except (KeyError, TypeError, ValueError):
        raise SettingsError(
            f"{name}: {value!r} is not {with_article(type(default).__name__)};"
            f" the default is {default!r}"
        ) from None


def check_bounds(name: str, value: Any, bounds: Mapping[str, Any]) -> None:
    """SettingsError for a number that is too small or too large, or a text that is no option."""
    options, low, high = bounds.get("options"), bounds.get("low"), bounds.get("high", _MAX_NUMBER)
    if options is not None and value not in options:
        raise SettingsError(f"{name}: {value!r:.60} is not one of {', '.join(options)}")
    if low is not None and not low <= value <= high:
        wanted = f"from {low:,} to {high:,}" if "high" in bounds else f"to {low:,} or more"
        raise SettingsError(f"{name}: {value!r:.60} is out of bounds; set it {wanted}")


def check_storage(storage: str) -> None:
    """SettingsError for a URL that no file can be written below, or that holds a secret."""
    if not is_url(storage):
        return
    scheme, _, rest = storage.partition("://")
    place = rest.split("?")[0].rpartition("@")[2]
    shown = f"{scheme}://{place}"[:100]
    if place != rest:
        raise SettingsError(
            f"storage: {shown} was given with a user, a password or a query; leave them out and set"
            " the variables that the service's own tools read, such as AWS_PROFILE"
        )
    if scheme.lower() in ("http", "https", "ftp"):
        raise SettingsError(
            f"storage: nothing is written to {shown}; give a folder that all machines share, or"
            " s3://bucket/prefix or gs://bucket/prefix"
        )
    if not place.strip("/"):
        raise SettingsError(f"storage: {shown} names no bucket; write {scheme}://bucket/prefix")


# bool("False") is True.
_TRUTHS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off", ""), False),
}


def to_text(value: Any) -> str:
    """As an environment variable gives it."""
    return os.pathsep.join(value) if isinstance(value, tuple) else str(value)


def from_file(environment: Mapping[str, str]) -> dict[str, Any]:
    """What `fitfleet.toml` says, or the file in FITFLEET_CONFIG. SettingsError if it is none."""
    given = environment.get("FITFLEET_CONFIG")
    path = Path(given or "fitfleet.toml")
    if not path.exists():
        if given:
            raise SettingsError(f"FITFLEET_CONFIG: {given} does not exist")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: not a readable TOML file: {error}") from None
