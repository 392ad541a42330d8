"""How the page is served, and to whom."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fitfleet.errors import SettingsError

DEFAULT_PORT = 8787
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_MIN_SECRET = 8  # characters


@dataclass(frozen=True)
class Options:
    """All of it. `secret` is a password that may be used again and again; None: one-time tokens."""

    host: str = "127.0.0.1"
    port: int | None = None  # None: the first free one from DEFAULT_PORT on
    root_path: str = ""  # where a reverse proxy shows it, such as /fitfleet
    is_read_only: bool = False
    secret: str | None = None
    hosts: Sequence[str] = ()  # names it answers to beside the loopback's

    def __post_init__(self) -> None:
        if self.secret is not None and len(self.secret) < _MIN_SECRET:
            raise SettingsError(
                f"the dashboard's password has {len(self.secret)} characters; it needs"
                f" {_MIN_SECRET} or more"
            )
        if not self.is_loopback and self.secret is None:
            raise SettingsError(
                f"host: {self.host} can be reached from other machines; give a file with a password"
                " by --password-file, or omit --host"
            )
        if self.root_path and not self.root_path.startswith("/"):
            raise SettingsError(f"root_path: {self.root_path!r} does not begin with /")

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def root(self) -> str:
        """The path before every link; without a slash at its end."""
        return self.root_path.rstrip("/")

    @property
    def allowed_hosts(self) -> list[str]:
        """The names in a Host header that are answered, without their ports."""
        bound = [] if self.host in ("0.0.0.0", "::") else [self.host]
        return list(dict.fromkeys([*_LOOPBACK, *bound, *self.hosts]))


def read_secret(path: Path) -> str:
    """The password in a file: its first line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"{path}: the password cannot be read: {reason}") from None
    return text.splitlines()[0].strip() if text.strip() else ""
