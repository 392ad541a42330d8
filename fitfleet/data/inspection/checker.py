"""Reading untrusted files in a process that may die, under limits of memory and time.

HDF5 itself crashes on damaged files: whatever opens one first may be gone. So a small process of
its own reads each file through before this one opens it, and what it made of it is remembered by
the file's content. It is started by the first file and waits for the next for a minute.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from select import select
from time import time_ns
from typing import Any, TypeVar

from fitfleet.data.files.fingerprint import Stamp, read_json, write_json
from fitfleet.data.files.location import open_regular
from fitfleet.data.formats import check_start
from fitfleet.data.formats.file import hasher
from fitfleet.data.limits import Limits
from fitfleet.errors import DatasetError, FitfleetError, MissingExtraError
from fitfleet.settings import Settings

_START = (
    "import json, sys; sys.path += json.loads(sys.argv[2]);"
    " from fitfleet.data.inspection.checker_process import main; main(int(sys.argv[1]))"
)
_PACKAGES = ("numpy", "h5py", "pandas", "pyarrow", "PIL", "zarr", "fitfleet")
_ENVIRONMENT = {
    "HDF5_USE_FILE_LOCKING": "FALSE",
    "HDF5_PLUGIN_PRELOAD": "::",  # loads no plug-in
    # The allocator of glibc ends the process where a heap was damaged, instead of continuing.
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_MALLOC_CHECK = "libc_malloc_debug.so.0"
_START_S = 60.0

T = TypeVar("T")
# ask("read", leaf="x"): what the process answers.
Ask = Callable[..., Any]
# Told how many files of how many are done.
OnProgress = Callable[[int, int], None]


class _ProcessDied(Exception):
    """The process has ended, or was ended; says why."""


class _Process:
    """One checking process and its pipes."""

    def __init__(self, limits: Limits) -> None:
        self.owner, self.limits, self.is_fresh = os.getpid(), limits, True
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed by end()
        command = [sys.executable, "-I", "-S", "-c", _START, str(limits.memory_bytes)]
        self._process = subprocess.Popen(
            [*command, json.dumps(_paths())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environment(),
            cwd="/" if os.name == "posix" else None,
        )
        self._rest = b""
        self._is_ready = False
        self.on_progress: OnProgress | None = None

    def ask(self, do: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises _ProcessDied."""
        self._ready()
        self._write(json.dumps({"do": do, **request}).encode() + b"\n")
        return self._answer(self.limits.stall_s)

    def end(self) -> None:
        """Let the process go, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _ready(self) -> None:
        if self._is_ready:
            return
        try:
            self._answer(_START_S)
        except _ProcessDied as error:
            self._errors.seek(0)
            lines = self._errors.read()[-300:].decode(errors="replace").strip().splitlines()
            raise FitfleetError(
                f"the process that checks files did not start ({error}):"
                f" {lines[-1] if lines else 'no output'}; run `{sys.executable} -c 'import"
                " h5py'` to see whether Python works here"
            ) from None
        self._is_ready = True

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            raise _ProcessDied(self._reason()) from None

    def _answer(self, stall_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while True:
            *lines, self._rest = self._rest.split(b"\n")
            self._tell([line for line in lines if line.startswith(b"#")])
            answers = [line for line in lines if line and not line.startswith(b"#")]
            if answers:
                answer: dict[str, Any] = json.loads(answers[-1])
                return answer
            if not select([pipe], [], [], stall_s)[0]:
                raise _ProcessDied(f"it made no progress for {stall_s:g} s (setting check_stall_s)")
            data = os.read(pipe, 2**16)
            if not data:
                raise _ProcessDied(self._reason())
            self._rest += data

    def _tell(self, lines: list[bytes]) -> None:
        """Pass the newest line of progress on: `#done count`."""
        if lines and self.on_progress is not None:
            done, count = lines[-1][1:].split()
            self.on_progress(int(done), int(count))

    def _reason(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"it ended with code {code}"
        return f"it was ended by {signal.Signals(-code).name}"


_lock = threading.RLock()
_current: _Process | None = None


def _process(limits: Limits) -> _Process:
    """The one that waits, or a new one."""
    global _current
    if _current is not None and _current.owner != os.getpid():
        _current = None  # of the process that this one was forked from
    if _current is not None and _current.limits != limits:
        _drop()
    if _current is None:
        _current = _Process(limits)
    return _current


def _drop() -> None:
    global _current
    if _current is not None and _current.owner == os.getpid():
        _current.end()
    _current = None


atexit.register(_drop)


def talk(
    place: str,
    limits: Limits,
    conversation: Callable[[Ask], T],
    *,
    on_progress: OnProgress | None = None,
) -> T:
    """What `conversation` makes of the answers to the questions it asks about one file.

    A process that has read other files may die of what those left in its memory, so that its end
    says nothing of this one: then a fresh one is asked. Raises DatasetError.
    """
    with _lock:
        while True:
            process = _process(limits)
            was_fresh, process.is_fresh = process.is_fresh, False
            process.on_progress = on_progress
            try:
                return conversation(partial(_ask, process, place))
            except _ProcessDied as error:
                _drop()
                if was_fresh:
                    raise DatasetError(
                        f"{place}: cannot be read: the process that checks files did not survive"
                        f" it ({error}); the file is damaged, save it again"
                    ) from None
            except KeyboardInterrupt:
                _drop()  # its pipe would hold half an answer
                raise


def _ask(process: _Process, place: str, do: str, **request: Any) -> Any:
    return _given(place, process.limits, process.ask(do, request))


def _given(place: str, limits: Limits, answer: dict[str, Any]) -> Any:
    """The answer, or the error in it raised."""
    kind, message = answer.get("error"), answer.get("message")
    if kind is None:
        return answer["answer"]
    if kind == "memory":
        raise DatasetError(
            f"{place}: takes more than {limits.memory_bytes:,} bytes to read, the setting"
            " check_memory_bytes; raise it, or store the data as HDF5, which streams"
        )
    if kind == MissingExtraError.__name__:
        raise MissingExtraError(answer["package"], answer["extra"])
    if kind == DatasetError.__name__:
        raise DatasetError(message)
    raise DatasetError(f"{place}: cannot be read: {message}; the file is damaged, save it again")


def _paths() -> list[str]:
    """Where the packages lie that the process needs, and no folder else."""
    folders: dict[str, None] = {}
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            folders[str(Path(spec.origin).parent.parent)] = None
    return list(folders)


def _environment() -> dict[str, str]:
    """This process's own, less what changes Python or loads code into others."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HDF5_"))}
    if not sys.platform.startswith("linux"):
        return {**environment, **_ENVIRONMENT}
    preload = " ".join(filter(None, (environment.get("LD_PRELOAD"), _MALLOC_CHECK)))
    return {**environment, **_ENVIRONMENT, "LD_PRELOAD": preload}


def check_hdf5(path: Path, settings: Settings) -> None:
    """Read an HDF5 file that is no dataset (weights, a checkpoint) through, in the process.

    When it returns, this process may open the file as it is now: it holds hard links only, no
    external or virtual storage, no foreign filter, at most `max_dataset_bytes`, and reading all of
    it does not end a process. Raises DatasetError in one sentence. A file that was found so, and
    has not changed since, costs a stat.
    """
    stamp = Stamp.of(path)
    key = hasher(json.dumps([str(path.absolute()), asdict(stamp)]).encode()).hexdigest()
    entry = Path(settings.cache) / "checked" / f"{key}.json"
    if read_json(entry) is not None:
        return
    started_ns = time_ns()
    limits = Limits.of(settings)
    with open_regular(path) as file:
        check_start(path, file, "hdf5")
    limits.check_file(path, "hdf5", os.stat(path))
    nbytes = talk(
        str(path),
        limits,
        lambda ask: ask("hdf5", path=str(path.absolute()), max_bytes=limits.array_bytes),
    )
    if Stamp.of(path) != stamp:
        raise DatasetError(f"{path}: has changed while it was checked; read it again")
    if stamp.is_settled(started_ns):
        write_json(entry, {"path": str(path), "bytes": nbytes})
