"""URLs of apprise, `apprise:slack://...`: a webhook that is a message to people, not a POST.

Nothing of them but the name of the service is shown: what stands where a host does is a token in
most.
"""

from __future__ import annotations

from typing import Any

from fitfleet.errors import MissingExtraError, SettingsError

PREFIX = "apprise:"


def is_apprise(url: str) -> bool:
    """Whether it goes to people by apprise."""
    return url.startswith(PREFIX)


def shown(url: str) -> str:
    """What may be printed of it."""
    return f"{PREFIX}{url.removeprefix(PREFIX).partition('://')[0][:20]}://..."


def check(url: str) -> None:
    """SettingsError for what apprise has no service for, MissingExtraError without apprise."""
    if not is_known(url):
        raise SettingsError(
            f"webhook: {shown(url)} is not a URL that apprise can send to; its services are listed"
            " at https://github.com/caronc/apprise/wiki"
        )


def is_known(url: str) -> bool:
    """Whether apprise can send to it."""
    return load().Apprise.instantiate(url.removeprefix(PREFIX)) is not None


def load() -> Any:
    """The module, which logs nothing: its lines may have the URL in them. MissingExtraError."""
    try:
        import apprise
    except ModuleNotFoundError:
        raise MissingExtraError("apprise", "apprise") from None
    apprise.logger.setLevel("CRITICAL")
    return apprise
