"""Memory: the fallback levels after an OOM, the peak of an attempt, and the growth of a child."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fitfleet.spec.memory import micro_batch as micro_batch

if TYPE_CHECKING:
    from fitfleet.spec.job import JobOptions, JobSpec

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def limit_memory(limit_bytes: int) -> None:
    """Let allocations of this process fail above this many bytes of data; 0: no limit.

    The system then ends no other process for it.
    """
    import resource

    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))


def fallback_level(spec: JobSpec, options: JobOptions, memory_step: int) -> str:
    """What this level does, for the records; empty at level 0."""
    if not memory_step:
        return ""
    size, accumulate = micro_batch(spec, options, memory_step)
    if accumulate is None:
        return "alone, after it ran out of memory"
    return (
        f"alone, in batches of {size} instead of {spec.batch_size} rows with "
        f"gradient_accumulation_steps={accumulate}, after it ran out of memory"
    )


def reset_peak() -> None:
    """Reset the measured peak; where the system cannot, the peak is the process's."""
    with suppress(OSError):
        _CLEAR.write_text("5")


def peak_bytes() -> int | None:
    """The most memory of this process since `reset_peak`; None where it cannot be measured."""
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return None


def held_bytes(pid: int | str = "self") -> int:
    """What a process holds now, without the files that it maps; 0 for one that is gone.

    A child that was forked maps TensorFlow's libraries anew, page by page, as it comes to need
    them. That is no growth.
    """
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        rows = [line.split() for line in status.splitlines()]
        kilobytes = [int(row[1]) for row in rows if row[:1] in (["RssAnon:"], ["RssShmem:"])]
        if kilobytes:
            return sum(kilobytes) * 1024
    return resident_bytes(None if pid == "self" else int(pid))


def resident_bytes(pid: int | None = None) -> int:
    """What a process (None: this one) holds now, with the files that it maps; 0 if it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
