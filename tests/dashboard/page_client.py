"""A client as a browser is one, without showing anything: cookies, origins, forms."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from fitfleet.dashboard.serve import Dashboard

Serve = Callable[..., Dashboard]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Visitor:
    """A client that keeps cookies and follows nothing by itself."""

    address: str
    cookie: str = ""
    host: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.host = self.host or urlsplit(self.address).netloc

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, *, origin: str | None = "", **fields: str) -> Answer:
        """A form as a browser sends it; `origin` None leaves the header away."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if origin is not None:
            headers["Origin"] = origin or f"http://{self.host}"
        return self._ask("POST", path, urlencode(fields), headers)

    def sign_in(self, link: str) -> Answer:
        """Open a link with a token."""
        parts = urlsplit(link)
        return self.get(f"{parts.path}?{parts.query}")

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=60)
        sent = {"Host": self.host, **self.headers, **headers}
        if self.cookie:
            sent["Cookie"] = self.cookie
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        text = response.read().decode()
        headers = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        if "set-cookie" in headers:
            self.cookie = headers["set-cookie"].partition(";")[0]
        return Answer(response.status, headers, text)
