"""What untrusted input may do: raise a FitfleetError, and nothing else that Python can see.

`Watch` is an audit hook (sys.addaudithook), so it sees what any library does in this process: an
import, exec, a subprocess, a socket, a file outside the roots. It cannot be removed, and
ignores events while it is not `watching`. `run` gives one input to a function and says what was
wrong.
"""

from __future__ import annotations

import codecs
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fitfleet.errors import FitfleetError

FORBIDDEN = (
    "exec",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "pickle.find_class",
    "socket.",
    "subprocess.Popen",
    "ctypes.",
    "marshal.loads",
    "code.__new__",
)
# Python imports these when a message or a name first needs them.
_CODECS = ("ascii", "cp437", "idna", "latin-1", "raw_unicode_escape", "unicode_escape", "utf-8-sig")
# Read by Python itself when a message is made, or by zipfile for a member's name.
_QUIET_MODULES = ("encodings.", "codecs")


_PATIENCE = 20


class Watch:
    """The audit hook. `roots` may be read and written, `readable` only read, `programs` started."""

    def __init__(
        self,
        roots: Iterable[str],
        readable: Iterable[str] = (),
        programs: Iterable[str] = (),
    ) -> None:
        self._programs = tuple(programs)
        self._roots = tuple(map(os.path.realpath, roots))
        self._readable = (*self._roots, "/dev/null", *map(os.path.realpath, readable))
        for name in _CODECS:
            codecs.lookup(name)
        self._thread = 0
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def __enter__(self) -> Watch:
        self.seen.clear()
        self._thread = threading.get_ident()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread = 0

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self._thread != threading.get_ident():
            return
        if event == "import" and not str(args[0]).startswith(_QUIET_MODULES):
            self.seen.append(f"import of {args[0]}")
        elif event == "open":
            self._opened(args)
        elif event == "subprocess.Popen" and args[0] in self._programs:
            return
        elif event.startswith(FORBIDDEN):
            self.seen.append(f"{event}{args!r:.200}")

    def _opened(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = args[0], args[1], args[2] or 0
        if isinstance(path, int):
            return
        is_write = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if isinstance(mode, str) and set(mode) & set("wax+"):
            is_write = True
        allowed = self._roots if is_write else self._readable
        resolved = os.path.realpath(os.fsdecode(path))
        if not any(resolved == root or resolved.startswith(f"{root}{os.sep}") for root in allowed):
            self.seen.append(f"open of {resolved} ({'write' if is_write else 'read'})")


class TooLong(BaseException):
    """Raised by the alarm; no `except Exception` of the code under test takes it."""


def run(
    work: Callable[[], Any], watch: Watch, *, seconds: float, memory_bytes: int
) -> tuple[str, str | None]:
    """("accepted" or the error's class, what was wrong or None) of one input.

    Wrong: an exception that is no FitfleetError or whose text is more than a line, what the hook
    saw, more than `seconds` of this process (or _PATIENCE times that by the clock, since other load
    on the machine does not count), and a peak of memory that grew by more than `memory_bytes`.
    """
    before = _peak_bytes()
    signal.signal(signal.SIGALRM, _alarm)
    started = time.monotonic()
    used = time.process_time()
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE * seconds)
    outcome, wrong = "accepted", None
    try:
        with watch:
            work()
    except FitfleetError as error:
        outcome, wrong = type(error).__name__, _bad_message(str(error))
    except TooLong:
        wrong = f"took more than {_PATIENCE * seconds:g} s"
    except Exception as error:
        wrong = f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if wrong is None and watch.seen:
        wrong = watch.seen[0]
    if wrong is None and _peak_bytes() - before > memory_bytes:
        wrong = f"memory grew by {_peak_bytes() - before:,} bytes"
    if wrong is None and time.process_time() - used > seconds:
        wrong = f"took {time.process_time() - used:.1f} s of the processor"
    if wrong is None and time.monotonic() - started > 2 * _PATIENCE * seconds:
        wrong = f"took {time.monotonic() - started:.1f} s, in which no signal came through"
    return outcome, wrong


def _alarm(*_: object) -> None:
    raise TooLong


def _bad_message(text: str) -> str | None:
    if "\n" in text or not text.strip():
        return f"no sentence: {text!r:.200}"
    return f"a message of {len(text):,} characters: {text[:200]}" if len(text) > 1500 else None


def _peak_bytes() -> int:
    # Not getrusage: its peak is at first that of the process which started this one.
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x)
    return int(line.split()[1]) * 1024
