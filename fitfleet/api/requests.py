"""The body of a request, within limits, and how responses and errors are written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fitfleet.api.access import Refused
from fitfleet.client.remote import json_text
from fitfleet.errors import (
    AccessError,
    BrokerError,
    DatabaseError,
    FitfleetError,
    NotFoundError,
    QuotaError,
    SpecError,
    StateError,
    StorageError,
)

MAX_BODY_BYTES = 32 * 2**20
_MAX_JOBS = 100_000
_BROKER_AWAY = "the fleet's broker does not answer; try again when it does"
_AWAY = "the fleet's database does not respond; nothing was changed, try again"
_log = logging.getLogger("fitfleet.service")


class TooLargeError(FitfleetError):
    """More than a request may bring: status 413."""


class Document:
    """The JSON object of a request. FitfleetError names the field that is not as it must be."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None) -> str | None:
        """A text, or None."""
        value: str | None = self._of_kind(name, str, default)
        return value

    def needed(self, name: str) -> str:
        """A text that has to be there."""
        value = self.text(name)
        if value is None:
            raise FitfleetError(f"{name}: is missing")
        return value

    def whole(self, name: str, default: int | None = None) -> int | None:
        """A whole number, or None."""
        value: int | None = self._of_kind(name, int, default)
        return value

    def truth(self, name: str) -> bool:
        """true or false; false where it is not given."""
        return bool(self._of_kind(name, bool, False))

    def mapping(self, name: str) -> dict[str, Any]:
        """An object."""
        return self._of_kind(name, dict, None) or {}

    def numbers(self, name: str) -> list[int]:
        """Numbers of jobs."""
        values = self._values.get(name, [])
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            raise FitfleetError(f"{name}: {values!r:.60} is not a list of numbers of jobs")
        if len(values) > _MAX_JOBS:
            raise TooLargeError(f"{name}: {len(values):,} jobs; {_MAX_JOBS:,} may be asked at once")
        return [value for value in values if 0 < value < 2**63]

    def texts(self, name: str) -> list[str]:
        """A list of texts, or one."""
        values = self._values.get(name) or []
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise FitfleetError(f"{name}: {values!r:.60} is not a list of texts")
        return values

    def documents(self, name: str) -> list[dict[str, Any]]:
        """A list of objects, at least one."""
        values = self._values.get(name)
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise FitfleetError(f"{name}: {values!r:.60} is not a list of objects")
        return values

    def several(self, name: str) -> list[Any]:
        """A list of anything, or none."""
        return self._of_kind(name, list, None) or []

    def _of_kind(self, name: str, kind: type, default: Any) -> Any:
        value = self._values.get(name)
        if value is None:
            return default
        if type(value) is not kind:
            words = {str: "a text", int: "a whole number", bool: "true or false"}
            words |= {dict: "an object", list: "a list"}
            raise FitfleetError(f"{name}: {value!r:.60} is not {words[kind]}")
        return value


async def document_of(request: Request) -> Document:
    """The body of a POST. TooLargeError, FitfleetError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(
                f"the request is above {MAX_BODY_BYTES:,} bytes; submit fewer jobs at once"
            )
    try:
        values = json_text.from_json(bytes(body) or b"{}")
    except ValueError as error:
        raise FitfleetError(f"the request is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise FitfleetError(f"the request is {type(values).__name__}, not a JSON object")
    return Document(values)


def query_of(request: Request) -> Document:
    """The arguments of a GET: numbers as numbers, `status` as a list."""
    values: dict[str, Any] = dict(request.query_params)
    for name in values.keys() & {"limit"}:
        if not values[name].isdecimal() or len(values[name]) > 9:
            raise FitfleetError(f"{name}: {values[name]!r:.40} is not a number of jobs")
        values[name] = int(values[name])
    return Document({**values, "status": request.query_params.getlist("status")})


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """The value as JSON."""
    sent = {"cache-control": "no-store", "x-content-type-options": "nosniff", **(headers or {})}
    return Response(json_text.to_json(value), status, sent, "application/json")


def refusal(error: FitfleetError) -> Response:
    """One sentence, the error's class and the status that fits."""
    kind, message, headers = type(error).__name__, str(error), {}
    if isinstance(error, Refused):
        kind, headers = "AccessError", {"www-authenticate": "Bearer"}
        if error.wait_s > 0:
            headers["retry-after"] = str(int(error.wait_s) + 1)
    if isinstance(error, DatabaseError):
        _log.error("%s", error)  # it names the database, which clients need not know
        kind, message = "ApiError", _AWAY
    if isinstance(error, BrokerError):  # a host that joins would get a user of it
        _log.error("%s", error)
        kind, message = "ApiError", _BROKER_AWAY
    if isinstance(error, TooLargeError):
        kind = "FitfleetError"
    document = {"kind": kind, "message": message}
    if isinstance(error, SpecError):
        document["place"] = error.place
    return answer({"error": document}, _status(error), headers)


def _status(error: FitfleetError) -> int:
    if isinstance(error, Refused):
        return 429 if error.wait_s > 0 else 401
    statuses: list[tuple[type[FitfleetError], int]] = [
        (TooLargeError, 413),
        (DatabaseError, 503),
        (BrokerError, 503),
        (StorageError, 503),
        (QuotaError, 429),
        (AccessError, 403),
        (NotFoundError, 404),
        (StateError, 409),
    ]
    return next((status for kind, status in statuses if isinstance(error, kind)), 400)
