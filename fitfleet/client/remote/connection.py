"""Requests to a fleet's HTTP API: the token is sent with each, only over loopback or TLS."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import ssl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlencode, urlsplit

from fitfleet import errors
from fitfleet.client.remote import json_text
from fitfleet.errors import AccessError, ApiError, FitfleetError, SettingsError, StorageError

_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_MAX_ERROR = 1 << 16
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
# Errors that a response may name: those of fitfleet with one sentence.
_KINDS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, FitfleetError)
}


def is_api(url: str) -> bool:
    """Whether a URL is that of an HTTP API, not of a database."""
    return url.startswith(("https://", "http://"))


class Connection:
    """The API of a fleet. Threads may share it.

    Every request may raise ApiError if the server is away, AccessError for the token, and what the
    server says the user did wrong, by its own class.
    """

    def __init__(self, url: str, token: str, ca_file: str = "") -> None:
        self.url = url.rstrip("/")
        self._parts = _checked(self.url)
        if not token:
            raise AccessError(
                f"{self.url} requires a token: give token=..., or set FITFLEET_TOKEN; an admin"
                " makes one with: fitfleet token create --user NAME"
            )
        if any(not 32 < ord(character) < 127 for character in token):
            raise AccessError("the token contains a character that no token has; copy it again")
        self._token = token
        self._context = _context(ca_file) if self._parts.scheme == "https" else None

    def __repr__(self) -> str:
        return f"<Connection {self.url}>"

    def get(self, path: str, **query: Any) -> Any:
        """What is there. Arguments that are None are left out."""
        arguments = {name: value for name, value in query.items() if value is not None}
        return self._json(
            "GET", f"{path}?{urlencode(arguments, doseq=True)}" if arguments else path
        )

    def post(self, path: str, **document: Any) -> Any:
        """What the server answers to a document."""
        return self._json("POST", path, json_text.to_json(document))

    def upload(self, path: str, file: Path) -> Any:
        """Send a file, whatever its size; what the server answers."""
        try:
            with file.open("rb") as content:
                size = os.fstat(content.fileno()).st_size
                return self._json("PUT", path, content, {"Content-Length": str(size)})
        except FileNotFoundError:
            raise StorageError(f"{file}: it was removed while it was being sent") from None

    def download(self, path: str, target: Path, sha256: str) -> None:
        """Write a file that the server sends, if its content is that of the hash. StorageError."""
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        digest = hashlib.sha256()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._answer("GET", path) as response, draft.open("wb") as file:
                while block := self._read(response, _BLOCK):
                    digest.update(block)
                    file.write(block)
            if digest.hexdigest() != sha256:
                raise StorageError(
                    f"{self.url}{path}: what came is not the file that the job has written; try"
                    " again"
                )
            os.replace(draft, target)
        except OSError as error:
            raise StorageError(f"{target}: cannot be written: {error.strerror}") from None
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def _json(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        with self._answer(method, path, body, headers) as response:
            text = self._read(response)
        try:
            return json_text.from_json(text)
        except ValueError:
            raise self._no_api() from None

    @contextmanager
    def _answer(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        sent = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        place = f"{self._parts.path}{quote(path, safe=_SAFE)}"
        with closing(self._open()) as connection:
            try:
                connection.request(method, place, body, sent)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has responded with an error before all was sent
            except (OSError, http.client.HTTPException) as error:
                raise self._away(error) from None
            try:
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise self._away(error) from None
            if response.status >= 300:
                self._refused(response)
            yield response

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._context is None:
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=self._context)

    def _read(self, response: http.client.HTTPResponse, size: int | None = None) -> bytes:
        try:
            return response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise self._away(error) from None

    def _refused(self, response: http.client.HTTPResponse) -> NoReturn:
        """Raise the error of a response, in the class that it would have here."""
        try:
            error = json_text.from_json(self._read(response, _MAX_ERROR))["error"]
            kind, message, place = error["kind"], str(error["message"]), error.get("place", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._no_api(response.status) from None
        if kind == "SpecError":
            error = errors.SpecError("", message)
            error.place = place
            raise error
        if kind == "MissingExtraError":  # of the server's host
            raise FitfleetError(f"on the server: {message}")
        raise _KINDS.get(kind, FitfleetError)(message)

    def _away(self, error: Exception) -> ApiError:
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code in _OTHER_NAME:
                return ApiError(
                    f"{self.url}: its certificate is for another address:"
                    f" {error.verify_message.rstrip('.')}; use one that it names"
                )
            return ApiError(
                f"{self.url}: its certificate is not trusted: {error.verify_message}; name the"
                " authority that signed it: ca_file=/path/ca.pem (FITFLEET_CA_FILE)"
            )
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        sentence = f"{self.url} does not answer: {str(reason).splitlines()[0]}"
        if self._context is None and isinstance(error, http.client.RemoteDisconnected):
            sentence += "; the address of an API with a certificate begins with https://"
        return ApiError(sentence)

    def _no_api(self, status: int | None = None) -> ApiError:
        shown = "" if status is None else f" (status {status})"
        return ApiError(
            f"{self.url} answers, but not as the API of a fleet{shown}; is this the address that"
            " `fitfleet api` or `fitfleet scheduler --api` has printed?"
        )


_SAFE = "/?&=%+"


def is_loopback(host: str) -> bool:
    """Whether a name or address is this very host's."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingsError(
            f"url: {url!r:.80} is not an address such as https://host:9500"
        ) from None
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise SettingsError(
            f"url: {parts.scheme}://{parts.hostname or ''} is not an address such as https://host:9500;"
            " a token is given as token=..., or by FITFLEET_TOKEN"
        )
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise SettingsError(
            f"url: {url} would send the token so that others can read it; use https://"
        )
    return parts


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
        return context
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "it contains no certificate"
        raise SettingsError(f"ca_file: {ca_file} cannot be used: {reason}") from None
