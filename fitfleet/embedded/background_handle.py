"""A script's handle on a background fleet, which keeps running afterwards."""

from __future__ import annotations

from fitfleet.client.fleet import Fleet
from fitfleet.db.actor import local_actor
from fitfleet.db.session import Database
from fitfleet.embedded.background_record import Stay
from fitfleet.embedded.broker import Broker
from fitfleet.errors import FitfleetError
from fitfleet.settings import Settings


class JoinedFleet(Fleet):
    """A fleet that was there before and keeps running afterwards. Made by `ff.local(...)`."""

    def __init__(self, settings: Settings, stay: Stay) -> None:
        """The fleet must be up; it stays as long as this handle is open."""
        self._stay = stay
        self._broker = Broker(stay.directory / "broker")
        database = Database(settings.database_url, local_actor(settings.user))
        database.check_schema()
        super().__init__(settings.replace(broker_url=self._broker.join()), database)
        self.notices.starting = settings.queue
        self._is_open = True

    def __enter__(self) -> JoinedFleet:
        return self

    def _on_poll(self) -> None:
        if not self._stay.is_up():
            raise FitfleetError(
                f"the background fleet of {self._stay.directory} has ended: "
                f"{self._stay.last_log_line()}; its log is {self._stay.log}"
            )

    def close(self) -> None:
        """Leave the fleet, which keeps running, as do its jobs."""
        if self._is_open:
            self._is_open = False
            self._broker.release()
            super().close()
