"""Reading untrusted files in a process that may die, under limits of memory and time.

HDF5 itself crashes on damaged files, and with it the process that opens one. So a small separate
process reads each file through before this one opens it, and the result is cached by the file's
content. It is started for the first file and waits for the next for a minute.
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
# ask("read", leaf="x") returns the process's answer.
Ask = Callable[..., Any]
# Called with how many of how many units (files, blocks) are done.
OnProgress = Callable[[int, int], None]


class _ProcessDied(Exception):
    """The process has ended or was killed; the message says why."""


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
        """Kill the process, and close its pipes."""
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
            self._report([line for line in lines if line.startswith(b"#")])
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

    def _report(self, lines: list[bytes]) -> None:
        """Call `on_progress` with the newest line of progress, `#done count`."""
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
    """The process that waits, or a new one."""
    global _current
    if _current is not None and _current.owner != os.getpid():
        _current = None  # it belongs to the parent that this process was forked from
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


def call(
    place: str,
    limits: Limits,
    requests: Callable[[Ask], T],
    *,
    on_progress: OnProgress | None = None,
) -> T:
    """What `requests` returns; it sends requests about one file to the checking process.

    A process that has read other files may die of what they left in its memory. So where it dies,
    the requests are sent again to a new one. Raises DatasetError if that dies too; `place` names
    the file.
    """
    with _lock:
        while True:
            process = _process(limits)
            was_fresh, process.is_fresh = process.is_fresh, False
            process.on_progress = on_progress
            try:
                return requests(partial(_ask, process, place))
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
    return _result(place, process.limits, process.ask(do, request))


def _result(place: str, limits: Limits, answer: dict[str, Any]) -> Any:
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
    """The folders of the packages that the process needs, for its sys.path."""
    folders: dict[str, None] = {}
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            folders[str(Path(spec.origin).parent.parent)] = None
    return list(folders)


def _environment() -> dict[str, str]:
    """This process's environment, without what changes Python or HDF5, or loads code into them."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HDF5_"))}
    if not sys.platform.startswith("linux"):
        return {**environment, **_ENVIRONMENT}
    preload = " ".join(filter(None, (environment.get("LD_PRELOAD"), _MALLOC_CHECK)))
    return {**environment, **_ENVIRONMENT, "LD_PRELOAD": preload}


def check_hdf5(path: Path, settings: Settings) -> None:
    """Read an HDF5 file that is no dataset (weights, a checkpoint) through, in the process.

    When it returns, this process may open the file as it is now: it has hard links only, no
    external or virtual storage, no foreign filter, at most `max_dataset_bytes`, and reading all of
    it does not end a process. Raises DatasetError. A file that has passed and has not changed since
    costs a stat.
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
    nbytes = call(
        str(path),
        limits,
        lambda ask: ask("hdf5", path=str(path.absolute()), max_bytes=limits.array_bytes),
    )
    if Stamp.of(path) != stamp:
        raise DatasetError(f"{path}: has changed while it was checked; read it again")
    if stamp.is_settled(started_ns):
        write_json(entry, {"path": str(path), "bytes": nbytes})
