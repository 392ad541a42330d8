"""A bucket of a real S3 server, reached through a proxy that can fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.s3 import CREDENTIALS, S3, Proxy

from fitfleet.objects import store
from fitfleet.settings import Settings


@pytest.fixture(scope="session")
def session_proxy(s3_server: S3) -> Iterator[Proxy]:
    proxy = Proxy(s3_server)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(session_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The way to the server of this process; without faults at the begin and the end."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", session_proxy.endpoint)
    session_proxy.requests = {}
    yield session_proxy
    session_proxy.set()
    store._systems.clear()


@pytest.fixture
def settings(proxy: Proxy, tmp_path: Path) -> Settings:
    """Of a machine whose storage is a prefix of the bucket that nobody else uses."""
    return Settings(
        storage=f"s3://fleet/{tmp_path.name}",
        cache=str(tmp_path / "cache"),
        data_root=str(tmp_path),
        storage_retry_s=3.0,
    )
