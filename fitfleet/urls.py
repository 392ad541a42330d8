"""URLs with passwords: how they are shown, and how what breaks them is quoted."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

# scheme, user, password, the rest: up to the last @ that is not among the arguments. A path that
# follows the scheme directly, as an SQLite file's, has no user.
_WITH_USER = re.compile(r"([\w.+-]+)://(?!/)([^:/?#@]*)(?::(.*?))?@([^@?]*(?:\?.*)?)", re.DOTALL)
_SECRET_ARGUMENT = re.compile(r"([?&][^=&#]*(?:pass|secret|token)[^=&#]*=)[^&#]*", re.IGNORECASE)
_HAS_ONLY_ARGUMENTS = re.compile(r"[\w.+-]+://[^:/?#@]+:\d+(/[^?#@]*)?\?")
_UNRESERVED = "%!$'()*+,;=~"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(text: Any) -> bool:
    """Whether a path is a URL."""
    return isinstance(text, str) and _URL.match(text) is not None


def without_password(url: str) -> str:
    """A URL that can be shown: no password in it, wherever it stands and however it is written."""
    url = _SECRET_ARGUMENT.sub(r"\1***", url)
    parts = _WITH_USER.fullmatch(url)
    if parts is None:
        return url
    scheme, user, password, rest = parts.groups()
    if password is None and not scheme.startswith("redis"):
        return url
    # What Redis is given before the @ without a colon is a password too.
    return f"{scheme}://{user if password is not None else ''}:***@{rest}"


def with_user(url: str, user: str, password: str) -> str:
    """The URL with another user and password."""
    scheme, _, rest = url.partition("://")
    parts = _WITH_USER.fullmatch(url)
    place = rest if parts is None else parts[4]
    return f"{scheme}://{quote(user)}:{quote(password, safe='')}@{place}"


def quoted_password(url: str) -> str:
    """The URL with what `#`, `/`, `?` or `@` in its password would break written as `%23`, ..."""
    parts = _WITH_USER.fullmatch(url)
    if parts is None or parts[3] is None or _HAS_ONLY_ARGUMENTS.match(url):
        return url
    scheme, user, password, rest = parts.groups()
    return f"{scheme}://{user}:{quote(password, safe=_UNRESERVED)}@{rest}"
