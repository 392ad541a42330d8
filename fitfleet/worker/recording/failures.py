"""How a member ends when it does not succeed: classes of failure, and what is written for each."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fitfleet.db import leases, metrics
from fitfleet.db.claims import Claim
from fitfleet.db.session import Connection, Database
from fitfleet.errors import BrokerError, DatabaseError, FitfleetError, StorageError
from fitfleet.settings import Settings
from fitfleet.states import FailureClass, JobStatus
from fitfleet.worker.engines.engine import Interrupted, Member, StopReason
from fitfleet.worker.recording import log
from fitfleet.worker.recording.explanation import explanation
from fitfleet.worker.recording.metrics import Recorder
from fitfleet.worker.recording.origin import is_users

_OUTAGE_LOOK_S = 1.0
_OUTAGE_MOST_S = 3600.0


class NanLoss(Exception):
    """The loss became NaN under TerminateOnNaN."""


class Endings:
    """Writes the end of a member, fenced, and waits for the database to be able to."""

    def __init__(self, database: Database, settings: Settings, recorder: Recorder) -> None:
        self._database = database
        self._settings = settings
        self._recorder = recorder
        self._patience: dict[str, Any] = {
            "backoff_s": settings.backoff_s,
            "storage_patience_s": settings.storage_patience_s,
        }

    def log_path(self, member: Member) -> Path:
        """The file that the attempt's output goes to."""
        claim = member.claim
        return Path(self._settings.logs) / str(claim.job_id) / f"attempt-{claim.attempt}.log"

    def end(self, member: Member, error: BaseException) -> None:
        """Record what ended the member. A lost one writes nothing at all."""
        if isinstance(error, Interrupted):
            self._end_interrupted(member, error.reason)
            return
        failure_class, message = classify(error)
        text = "".join(traceback.format_exception(error))
        tail = self._logged(member, f"{message}\n{text}")
        write = self._failure(member, failure_class, message, text, member.seconds, tail)
        self._write(member, write, _OUTAGE_MOST_S)
        if not isinstance(error, Exception) and failure_class is not FailureClass.USER:
            raise error  # this process is told to end, by a signal

    def _end_interrupted(self, member: Member, reason: StopReason) -> None:
        tail = self._logged(member, f"stopped: {reason}")
        if reason is StopReason.LOST:
            return
        # A drained process has to end soon; what it cannot write its expiring lease will say.
        patience_s = self._settings.drain_s if reason is StopReason.RELEASE else _OUTAGE_MOST_S
        self._write(member, self._interruption(member, reason, member.seconds, tail), patience_s)

    def _logged(self, member: Member, text: str) -> str:
        """Add to the job's log, which need not be the one that is printed to; its last lines."""
        path = self.log_path(member)
        log.add(path, text)
        return log.tail(path)

    def refuse(self, claim: Claim, error: Exception) -> None:
        """Record the failure of a job whose spec cannot even be read."""
        failure_class, message = classify(error)
        text = "".join(traceback.format_exception(error))
        with suppress(DatabaseError), self._database.begin() as c:
            leases.fail(c, claim, failure_class, message, text, **self._patience)

    def _interruption(
        self, member: Member, reason: StopReason, seconds: float, tail: str
    ) -> Callable[[Connection], bool]:
        claim = member.claim
        if reason is StopReason.RELEASE:
            return lambda c: leases.release(c, claim, seconds=seconds, log_tail=tail)
        if reason in (StopReason.CANCEL, StopReason.PRUNE):
            status = JobStatus.CANCELLED if reason is StopReason.CANCEL else JobStatus.PRUNED
            return lambda c: leases.stop(c, claim, status, seconds=seconds, log_tail=tail)
        if reason is StopReason.TIMEOUT:
            message = f"it ran longer than its timeout_s={claim.timeout_s:g}"
            return self._failure(member, FailureClass.TIMEOUT, message, "", seconds, tail)
        message = "the fit made no progress within its stall_timeout_s"
        return self._failure(member, FailureClass.STALLED, message, "", seconds, tail)

    def _failure(
        self,
        member: Member,
        failure_class: FailureClass,
        message: str,
        text: str,
        seconds: float,
        tail: str,
    ) -> Callable[[Connection], bool]:
        return lambda c: leases.fail(
            c,
            member.claim,
            failure_class,
            message,
            text,
            tail,
            seconds=seconds,
            **self._patience,
        )

    def _write(
        self, member: Member, write: Callable[[Connection], bool], patience_s: float
    ) -> None:
        """The end and the metrics that still wait, in one transaction."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                with self._database.begin() as c:
                    metrics.record(c, self._recorder.waiting([member.claim]))
                    write(c)
                return
            except DatabaseError:
                if time.monotonic() >= deadline:
                    return
                member.progress_at = time.monotonic()  # it does not hang, it waits
                time.sleep(_OUTAGE_LOOK_S)


def classify(error: BaseException) -> tuple[FailureClass, str]:
    """The class of a failure and its one-sentence message."""
    if isinstance(error, NanLoss):
        return FailureClass.NAN, str(error)
    if isinstance(error, StorageError):
        return FailureClass.STORAGE, str(error)
    if isinstance(error, DatabaseError | BrokerError):
        return FailureClass.INTERNAL, str(error)
    if isinstance(error, FitfleetError):
        return FailureClass.USER, str(error)
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":
        return FailureClass.MEMORY, f"out of memory: {_line_of(error, 'OOM')}"
    failure_class = FailureClass.USER if is_users(error) else FailureClass.INTERNAL
    return failure_class, f"{name}: {explanation(error)}"


def _line_of(error: BaseException, about: str) -> str:
    """That of TensorFlow's many lines which begins with `about`, or else the whole message."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line.startswith(about)), explanation(error))
