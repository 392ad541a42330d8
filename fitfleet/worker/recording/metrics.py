"""Metrics go to the database from a thread of their own, through outages as well."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from fitfleet.db.attempts import metrics
from fitfleet.db.attempts.claims import Claim, claim_of
from fitfleet.db.attempts.metrics import EpochMetrics
from fitfleet.db.outages import OUTAGE_POLL_S
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError

# Least time between two transactions: quick epochs share one, and the training thread keeps the
# interpreter.
_GATHER_S = 0.1
_MEMORY_ROWS = 10_000
_BATCH_ROWS = 2_000


class Recorder:
    """Takes epochs from the training thread and writes all queued ones in one transaction.

    While the database is away the epochs wait in memory, above `memory_rows` in a file of the
    logs folder; both go to the database when it is back. Who ends a job takes what still waits
    for it with `waiting` and writes it in the same transaction as the end.
    """

    def __init__(
        self, database: Database, logs: str | Path, *, memory_rows: int = _MEMORY_ROWS
    ) -> None:
        self._database = database
        self._memory_rows = memory_rows
        self._spill = _Spill(Path(logs) / f"metrics-{os.getpid()}.jsonl")
        self._rows: deque[EpochMetrics] = deque()
        self._left: list[EpochMetrics] = []  # to the ends of their jobs
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def put(self, *rows: EpochMetrics) -> None:
        """Queue epochs to be written. Never waits for the database."""
        with self._changed:
            self._rows.extend(rows)
            if len(self._rows) > self._memory_rows:
                # The oldest half; if the disk refuses too, memory is all there is.
                half = [self._rows.popleft() for _ in range(len(self._rows) // 2)]
                if not self._spill.add(half):
                    self._rows.extendleft(reversed(half))
            self._changed.notify_all()

    def leave_to_commit(self, claim: Claim) -> None:
        """Its end is near, and will write what waits for it: `forget` has to follow."""
        with self._changed:
            for row in self._rows:
                if row.claim.key == claim.key:
                    self._left.append(row)
            self._drop({claim.key})

    def waiting(self, claims: Iterable[Claim]) -> list[EpochMetrics]:
        """The epochs of claims that are not known to be written; writing twice is harmless."""
        keys = {claim.key for claim in claims}
        with self._changed:
            rows = [*self._spill.read(), *self._left, *self._rows]
        return [row for row in rows if row.claim.key in keys]

    def forget(self, claims: Iterable[Claim]) -> None:
        """Their jobs have ended, and what `waiting` gave was written with the ends."""
        keys = {claim.key for claim in claims}
        with self._changed:
            self._left = [row for row in self._left if row.claim.key not in keys]
            self._drop(keys)

    def _drop(self, keys: set[tuple[int, int]]) -> None:
        self._rows = deque(row for row in self._rows if row.claim.key not in keys)
        self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put is written; whether it is."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._rows and not self._spill.rows, timeout_s
            )

    def close(self) -> None:
        """End the thread; what is not written then is lost."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout=5)
        self._spill.clear()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._rows or self._spill.rows or self._is_closed)
                # Of a job that ends meanwhile the end writes them, and nothing is left to do here.
                if self._changed.wait_for(lambda: self._is_closed, _GATHER_S):
                    return
                spilled = list(self._spill.read())
                rows = [] if spilled else list(self._rows)
            try:
                for batch in _batches(spilled or rows):
                    with self._database.begin() as c:
                        metrics.record(c, batch)
            except DatabaseError:
                time.sleep(OUTAGE_POLL_S)
                continue
            self._forget(spilled, rows)

    def _forget(self, spilled: list[EpochMetrics], rows: list[EpochMetrics]) -> None:
        with self._changed:
            if spilled and self._spill.rows == len(spilled):
                self._spill.clear()
            # `put` may have moved some of these to the file meanwhile: they are written again.
            written = {id(row) for row in rows}
            self._rows = deque(row for row in self._rows if id(row) not in written)
            self._changed.notify_all()


class _Spill:
    """Epochs in a file, one JSON document a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = 0

    def add(self, rows: list[EpochMetrics]) -> bool:
        """Append them; whether all were written."""
        lines = []
        for row in rows:
            claim = row.claim
            document = [claim.job_id, claim.attempt, claim.worker, row.epoch, dict(row.logs)]
            lines.append(json.dumps(document) + "\n")
        size = self._path.stat().st_size if self.rows else 0
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a" if self.rows else "w") as file:
                file.writelines(lines)
        except OSError:
            with suppress(OSError):
                os.truncate(self._path, size)
            return False
        self.rows += len(rows)
        return True

    def read(self) -> Iterator[EpochMetrics]:
        """All that is in it, oldest first."""
        if not self.rows:
            return
        with self._path.open() as file:
            for line in file:
                job_id, attempt, worker, epoch, logs = json.loads(line)
                yield EpochMetrics(claim_of(job_id, attempt, worker), epoch, logs)

    def clear(self) -> None:
        """Forget all of it."""
        self.rows = 0
        with suppress(OSError):
            self._path.unlink()


def _batches(rows: list[EpochMetrics]) -> Iterator[list[EpochMetrics]]:
    for start in range(0, len(rows), _BATCH_ROWS):
        yield rows[start : start + _BATCH_ROWS]
