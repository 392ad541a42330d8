"""Hosts of a test: network namespaces with names, addresses, clocks and cables of their own.

The first host is the machine of the tests, where PostgreSQL and Valkey listen; the others are
joined to it by a bridge. Where namespaces may not be made (no root, no Linux), a host is a set of
processes that reaches the servers through relays of its own, which stop while it is cut off.
"""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from support.servers import Postgres, Valkey, die_with_parent
from support.tls import Authority, TlsFront


def can_make_namespaces() -> bool:
    """Whether this user may make network namespaces, a bridge and host names here."""
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"ff{secrets.token_hex(3)}"
    if not _succeeds("ip", "link", "add", name, "type", "bridge"):
        return False
    _ip("link", "del", name)
    made = _succeeds("ip", "netns", "add", name)
    return made and _succeeds("ip", "netns", "del", name)


class Servers:
    """PostgreSQL and Valkey behind TLS, as the hosts see them."""

    def __init__(self, folder: Path, postgres: Postgres, valkey: Valkey, address: str) -> None:
        self._postgres, self._valkey, self.address = postgres, valkey, address
        authority = Authority(folder, "hosts")
        self.ca = authority.file
        self.certificate = authority.issue(address)
        self._database = postgres.create_database()
        self._fronts: list[TlsFront] = []

    def urls(self) -> tuple[dict[str, str], list[TlsFront]]:
        """Settings with the URLs of database and broker through new ends of TLS, and those."""
        database = TlsFront(
            self._postgres.port, self.certificate, is_postgres=True, address=self.address
        )
        broker = TlsFront(self._valkey.port, self.certificate, address=self.address)
        self._fronts += [database, broker]
        user = f"fitfleet:{self._postgres.password}"
        place = f"{self.address}:{database.port}/{self._database}"
        urls = {
            "database_url": f"postgresql://{user}@{place}?sslmode=verify-full&sslrootcert={self.ca}",
            "broker_url": f"rediss://:{self._valkey.password}@{self.address}:{broker.port}/0"
            f"?ssl_ca_certs={self.ca}",
        }
        return urls, [database, broker]

    def close(self) -> None:
        """End what ends TLS."""
        for front in self._fronts:
            front.close()


class Host:
    """Where services run. `cut` takes it off the network, `heal` brings it back."""

    def __init__(self, name: str, urls: Mapping[str, str], inside: Sequence[str] = ()) -> None:
        self.name, self.urls = name, urls
        self._inside = list(inside)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, log: Path, environment: Mapping[str, str], *command: str
    ) -> subprocess.Popen[bytes]:
        """Start a command on this host; its process."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*self._inside, *command],
                env={**os.environ, **environment},
                stdout=file,
                stderr=file,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self._processes.append(process)
        return process

    def cut(self) -> None:
        """No packet comes or goes any more; nobody is told."""
        raise NotImplementedError("the servers of the test are on this host")

    def heal(self) -> None:
        """As before `cut`."""

    def kill(self) -> None:
        """The host loses its power: every process of it is gone, and no connection is closed."""
        self.cut()
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()

    def close(self) -> None:
        """End what runs on it."""
        self.heal()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class NamespaceHost(Host):
    """A host with a network and a name of its own."""

    def __init__(self, name: str, bridge: str, address: str, urls: Mapping[str, str]) -> None:
        self.namespace = f"{bridge}-{name}"
        self._cable = f"{bridge}v{address.rpartition('.')[2]}"
        # `ip netns exec` and `unshare` replace themselves: the process is the command's own.
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name]
        super().__init__(name, urls, ["ip", "netns", "exec", self.namespace, *named])
        _ip("netns", "add", self.namespace)
        _ip(
            "link",
            "add",
            self._cable,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.namespace,
        )
        _ip("link", "set", self._cable, "master", bridge, "up")
        for words in (
            ("addr", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", self.namespace, *words)

    def cut(self) -> None:
        _ip("link", "set", self._cable, "down")

    def heal(self) -> None:
        _ip("link", "set", self._cable, "up")

    def close(self) -> None:
        super().close()
        _ip("netns", "del", self.namespace)


class RelayedHost(Host):
    """A host of processes alone, behind relays of its own."""

    def __init__(self, name: str, servers: Servers) -> None:
        urls, self._relays = servers.urls()
        super().__init__(name, urls)

    def cut(self) -> None:
        for relay in self._relays:
            relay.freeze()

    def heal(self) -> None:
        for relay in self._relays:
            relay.thaw()


@contextmanager
def hosts(
    folder: Path, postgres: Postgres, valkey: Valkey, names: Sequence[str], *, namespaces: bool
) -> Iterator[tuple[Servers, dict[str, Host]]]:
    """The servers, and hosts by name. The first is that of the servers; it cannot be cut."""
    first, *others = names
    network = _Network() if namespaces else None
    made: dict[str, Host] = {}
    servers = None
    try:
        address = network.address(1) if network else "127.0.0.1"
        servers = Servers(folder, postgres, valkey, address)
        urls, _ = servers.urls()
        made[first] = Host(first, urls)
        for number, name in enumerate(others, start=2):
            made[name] = (
                NamespaceHost(name, network.bridge, network.address(number), urls)
                if network
                else RelayedHost(name, servers)
            )
        yield servers, made
    finally:
        for host in made.values():
            host.close()
        if servers is not None:
            servers.close()
        if network is not None:
            _ip("link", "del", network.bridge)


class _Network:
    """A bridge with an address of its own, in a subnet that no other test has."""

    def __init__(self) -> None:
        self.bridge = f"ff{secrets.token_hex(3)}"
        self._subnet = f"10.213.{random.SystemRandom().randrange(1, 255)}"
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("addr", "add", f"{self.address(1)}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")

    def address(self, number: int) -> str:
        """Of the host of that number."""
        return f"{self._subnet}.{number}"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
