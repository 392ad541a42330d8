"""What reading a dataset may cost, from the settings; light enough for the checking process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fitfleet.errors import DatasetError
from fitfleet.settings import Settings

TABLES = ("csv", "tsv", "csv.gz", "tsv.gz", "parquet")
# Small files may be sparse; of a larger one at least a part of _MAX_SPARSENESS must be stored.
_FREE_BYTES = 64 * 2**20
_MAX_SPARSENESS = 200


@dataclass(frozen=True)
class Limits:
    """`array_bytes`: of a dataset in memory. `table_bytes`: of a table, which is parsed whole.

    `memory_bytes` is the address space of the process that checks files, `stall_s` the
    time in seconds after which it must have made progress.
    """

    array_bytes: int
    table_bytes: int
    memory_bytes: int
    stall_s: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that follow from the settings."""
        return cls(
            array_bytes=settings.max_dataset_bytes,
            table_bytes=min(settings.max_dataset_bytes, settings.memory_bytes),
            memory_bytes=settings.check_memory_bytes or _memory_bytes(settings.memory_bytes),
            stall_s=settings.check_stall_s,
        )

    def check_file(self, path: Path, kind: str, status: os.stat_result) -> None:
        """Refuse, before it is read, a file too large for its kind or made of holes."""
        if status.st_size == 0:
            raise DatasetError(f"{path}: is empty (0 bytes); give a file that contains the dataset")
        limit, name = self.array_bytes, "max_dataset_bytes"
        if kind in TABLES and self.table_bytes < limit:
            limit, name = self.table_bytes, "memory_bytes"
        if status.st_size > limit:
            remedy = (
                "store it as HDF5, which streams, or raise it" if kind in TABLES else "raise it"
            )
            raise DatasetError(
                f"{path}: is {status.st_size:,} bytes, above the setting {name}={limit:,}; {remedy}"
            )
        stored = getattr(status, "st_blocks", status.st_size) * 512
        if status.st_size > _FREE_BYTES and status.st_size > _MAX_SPARSENESS * stored:
            raise DatasetError(
                f"{path}: is {status.st_size:,} bytes, but only {stored:,} of them are stored (a"
                " sparse file); write the data into it, or give the file that holds it"
            )


def _memory_bytes(table_bytes: int) -> int:
    """Room for Python and its libraries, and for a table beside the text that it is parsed from."""
    needed = 2 * 2**30 + 2 * table_bytes
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return needed
    return max(2 * 2**30, min(needed, physical))
