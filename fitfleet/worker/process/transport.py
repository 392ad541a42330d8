"""Celery's Redis transport, which drops what is no message instead of ending the service.

Anyone who can write to the broker can push bytes to a queue. kombu decodes them inside the event
loop of the service, and an error there ends its consuming for good.
"""

from __future__ import annotations

import logging
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis

_log = logging.getLogger(__name__)
# What decoding or routing a foreign message raises; errors of the connection are kombu's own.
_FOREIGN = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


class Channel(redis.Channel):
    """Reads one message at a time; what cannot be read is counted and dropped."""

    dropped = 0

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except self.connection_errors:
            raise
        except _FOREIGN as error:
            Channel.dropped += 1
            if Channel.dropped == 1:
                _log.warning(
                    "dropped a message that fitfleet did not send (%s); further ones are only"
                    " counted. Who can write to the broker? See docs/explanation/security.md",
                    type(error).__name__,
                )
            return True


class Transport(redis.Transport):
    """Redis, with the channel of above."""

    Channel = Channel


def install() -> None:
    """Let every connection of this process go through here, whichever scheme its URL has."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
