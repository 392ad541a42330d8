"""Serving the API: beside a scheduler in a separate thread, or as a command."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitfleet.client.fleet import Fleet
from fitfleet.client.remote.connection import is_loopback
from fitfleet.errors import MissingExtraError, SettingsError
from fitfleet.http_server import HttpServer, listen, url_of

_MAX_CONNECTIONS = 500


@dataclass(frozen=True)
class Options:
    """Where it listens, `host:port`, and the certificate that it shows; None: no TLS."""

    address: str
    certificate: Path | None = None
    key: Path | None = None  # None: in the certificate's file

    def __post_init__(self) -> None:
        _, _, port = self.address.rpartition(":")
        if not port.isdecimal() or int(port) > 65_535:
            raise SettingsError(f"api: {self.address!r} is not an address such as 0.0.0.0:9500")
        if self.certificate is None and not is_loopback(self.host):
            raise SettingsError(
                f"api: {self.address} can be reached from other hosts, and tokens would be readable"
                " on the way; give --certificate and --key, or listen on 127.0.0.1 behind a proxy"
                " that has them"
            )
        if self.key is not None and self.certificate is None:
            raise SettingsError("api: --key goes with --certificate; give both")

    @property
    def host(self) -> str:
        """The address without its port."""
        return self.address.rpartition(":")[0].strip("[]") or "0.0.0.0"

    @property
    def port(self) -> int:
        """The port; 0: any free one."""
        return int(self.address.rpartition(":")[2])


class ApiServer:
    """The API of a fleet, served until stopped."""

    def __init__(self, fleet: Fleet, options: Options) -> None:
        """Bind the port; SettingsError for what is taken or no certificate, MissingExtraError."""
        _check_certificate(options)
        app = _make_app(fleet)
        listener = _listening(options)
        scheme = "http" if options.certificate is None else "https"
        self.url = url_of(scheme, options.host, listener)  # for clients and hosts that join
        self._server = HttpServer(
            app,
            listener,
            "api",
            log_config=None,
            limit_concurrency=_MAX_CONNECTIONS,
            ssl_certfile=None if options.certificate is None else str(options.certificate),
            ssl_keyfile=None if options.key is None else str(options.key),
        )

    def told(self) -> list[str]:
        """What an admin reads at its start; no secret."""
        return [
            f"API: {self.url}",
            f"a host joins with: fitfleet join {self.url} --token TOKEN"
            "   (a token: fitfleet token create --user NAME --scope work)",
        ]

    def run(self) -> None:
        """Serve until stopped."""
        self._server.run()

    def start(self) -> ApiServer:
        """Serve in a separate thread, and return when it answers."""
        self._server.start("fitfleet-api")
        return self

    @property
    def is_serving(self) -> bool:
        """Whether it answers requests."""
        return self._server.is_serving

    def stop(self) -> None:
        """End it."""
        self._server.stop()


def _make_app(fleet: Fleet) -> Any:
    try:
        from fitfleet.api.app import make_app
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "starlette", "api") from None
    return make_app(fleet)


def _check_certificate(options: Options) -> None:
    if options.certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(
            f"api: the certificate {options.certificate} cannot be used with its key: {reason}"
        ) from None


def _listening(options: Options) -> socket.socket:
    try:
        return listen(options.host, options.port)
    except OSError as error:
        raise SettingsError(
            f"api: {options.address} cannot be used to listen on: {error.strerror}; choose"
            f" another port"
        ) from None
