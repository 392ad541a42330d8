"""How a job ends when it does not succeed: classes of failure, and what is written for each."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fitfleet.db.attempts import ends, memory, metrics
from fitfleet.db.attempts.claims import Claim
from fitfleet.db.attempts.memory import Measurement
from fitfleet.db.fleet import admission
from fitfleet.db.outages import outlast
from fitfleet.db.scheduling import reservations
from fitfleet.db.session import Connection, Database
from fitfleet.errors import BrokerError, DatabaseError, FitfleetError, StorageError
from fitfleet.settings import Settings
from fitfleet.spec.job import JobOptions, JobSpec
from fitfleet.spec.memory import can_shrink
from fitfleet.spec.versions import installed, number_of
from fitfleet.states import FailureClass, JobStatus
from fitfleet.worker.control import CHECKPOINTED, Interrupted, JobControl, StopReason
from fitfleet.worker.recording import job_log
from fitfleet.worker.recording.error_origin import is_users
from fitfleet.worker.recording.error_text import explanation
from fitfleet.worker.recording.metrics import Recorder

_MAX_OUTAGE_S = 3600.0


_STOPPED = {
    StopReason.CANCEL: "cancelled",
    StopReason.PRUNE: "pruned",
    StopReason.RELEASE: "interrupted; returned to the queue",
    StopReason.LOST: "lost: its lease ended, and nothing more of this attempt is written",
    StopReason.TIMEOUT: "stopped: it ran longer than its timeout_s",
    StopReason.STALLED: "stopped: it made no progress",
}
_log = logging.getLogger(__name__)


class NanLoss(Exception):
    """The loss became NaN under TerminateOnNaN."""


class OfNewerVersion(Exception):
    """The spec of a job has a field that only a newer fitfleet has; `str()` names it."""


class FailureRecorder:
    """Writes the end of a job that did not succeed, fenced; waits while the database is away.

    From any thread.
    """

    def __init__(self, database: Database, settings: Settings, recorder: Recorder) -> None:
        self._database = database
        self._settings = settings
        self._recorder = recorder

    def end(
        self, control: JobControl, error: BaseException, bound: Measurement | None = None
    ) -> None:
        """Record what ended the job. A lost one writes nothing at all.

        `bound` is what it had when it ran out of memory.
        """
        if isinstance(error, Interrupted):
            self._end_stopped(control, error.reason)
            return
        if isinstance(error, OfNewerVersion):
            self._release_to_newer(control, str(error))
            return
        failure_class, message = classify(error)
        text = "".join(traceback.format_exception(error))
        tail = self._logged(control, f"{message}\n{text}")
        claim = control.claim
        _log.warning(
            "attempt %s of job %s of %s failed: %s: %s",
            claim.attempt, claim.job_id, claim.experiment, failure_class.value, message,
            extra=about(claim),
        )  # fmt: skip
        seconds, options = control.seconds, patience(self._settings)
        phases = _phases(control, self._settings)

        def failed(c: Connection) -> bool:
            if not _has_begun(c, control, self._settings):
                return False
            last = _final_reason(c, claim, bound, self._settings) if bound is not None else None
            reason_text = message if last is None else f"out of memory: {last}"
            more = {"seconds": seconds, "is_last": last is not None, "phases": phases, **options}
            return ends.fail(c, claim, failure_class, reason_text, text, tail, **more)

        self._write(control, failed, _MAX_OUTAGE_S)
        if not isinstance(error, Exception) and failure_class is not FailureClass.USER:
            raise error  # this process is told to end, by a signal

    def _end_stopped(self, control: JobControl, reason: StopReason) -> None:
        claim, stop_text = control.claim, _STOPPED[reason]
        # Of an attempt that has not begun there is no log.
        tail = "" if control.is_reserved else self._logged(control, stop_text)
        _log.info("job %s of %s: %s", claim.job_id, claim.experiment, stop_text, extra=about(claim))
        if reason is StopReason.LOST:
            return
        # A drained process has to end soon; if it cannot write, its lease expires.
        wait_s = self._settings.drain_s if reason is StopReason.RELEASE else _MAX_OUTAGE_S
        self._write(
            control,
            lambda c: end_stopped(c, control, reason, self._settings, log_tail=tail),
            wait_s,
        )

    def _release_to_newer(self, control: JobControl, detail: str) -> None:
        version = number_of(installed())
        self._write(
            control,
            lambda c: (
                _has_begun(c, control, self._settings)
                and ends.release_to_newer(c, control.claim, above=version, detail=detail)
            ),
            _MAX_OUTAGE_S,
        )

    def _logged(self, control: JobControl, text: str) -> str:
        """Append to the job's log, which may not be the one in use; its last lines."""
        path = log_path(self._settings, control.claim)
        job_log.add(path, text)
        return job_log.tail(path)

    def _write(
        self, control: JobControl, write: Callable[[Connection], bool], wait_s: float
    ) -> None:
        """The end and the metrics that still wait, in one transaction."""
        deadline = time.monotonic() + wait_s

        def written() -> None:
            with self._database.begin() as c:
                metrics.record(c, self._recorder.waiting([control.claim]))
                write(c)

        outlast(
            written,
            until=lambda: time.monotonic() >= deadline,
            on_outage=control.show_progress,  # waiting, not hanging
        )


def _final_reason(
    c: Connection, claim: Claim, bound: Measurement, settings: Settings
) -> str | None:
    """Record the memory that was too little. Why the job is not retried; None: it is."""
    bound = admission.raised_to_device(c, bound, claim)
    memory.record(c, [bound])
    spec = JobSpec.from_canonical(claim.spec)
    options = JobOptions.model_validate_json(claim.options)
    if not claim.memory_step or can_shrink(spec, options, claim.memory_step):
        return None
    may_shrink = options.shrink_on_oom
    return admission.out_of_memory_reason(
        c, claim, bound.size_bytes, settings.lease_s, may_shrink=may_shrink
    )


def about(claim: Claim) -> dict[str, int]:
    """The fields of a job for `extra` of the service's log."""
    return {"job": claim.job_id, "attempt": claim.attempt}


def log_path(settings: Settings, claim: Claim) -> Path:
    """The file that an attempt's output goes to."""
    return Path(settings.logs) / str(claim.job_id) / f"attempt-{claim.attempt}.log"


def patience(settings: Settings) -> dict[str, Any]:
    """What `leases.fail` takes of the settings."""
    return {"backoff_s": settings.backoff_s, "storage_patience_s": settings.storage_patience_s}


def end_stopped(
    c: Connection,
    control: JobControl,
    reason: StopReason,
    settings: Settings,
    *,
    log_tail: str = "",
) -> bool:
    """Write the end of a job that was stopped; False if it was lost, when nothing is written."""
    claim = control.claim
    rest: dict[str, Any] = {"seconds": control.seconds, "log_tail": log_tail}
    rest["phases"] = _phases(control, settings)
    if reason is StopReason.LOST:
        return False
    if reason in CHECKPOINTED and _is_handed_back(c, claim):
        return True
    if not _has_begun(c, control, settings):
        return False
    if reason is StopReason.RELEASE:
        return ends.release(c, claim, **rest)
    if reason is StopReason.CANCEL:
        return ends.stop(c, claim, JobStatus.CANCELLED, **rest)
    if reason is StopReason.PRUNE:
        return ends.stop(c, claim, JobStatus.PRUNED, **rest)
    if reason is StopReason.TIMEOUT:
        message = f"it ran longer than its timeout_s={claim.timeout_s:g}"
        failure_class = FailureClass.TIMEOUT
    else:
        stall_s = claim.stall_timeout_s or settings.stall_timeout_s
        message = f"the fit has made no progress for {stall_s:g} s"
        failure_class = FailureClass.STALLED
    return ends.fail(c, claim, failure_class, message, **rest, **patience(settings))


def _phases(control: JobControl, settings: Settings) -> str | None:
    return control.timeline.to_json() if settings.traces else None


def _is_handed_back(c: Connection, claim: Claim) -> bool:
    return claim.reserved_as is not None and bool(reservations.hand_back(c, [claim]))


def _has_begun(c: Connection, control: JobControl, settings: Settings) -> bool:
    """Whether its attempt has begun; a reserved one begins now, so that its end can be recorded."""
    claim = control.claim
    return not control.is_reserved or claim.key in reservations.begin(c, [claim], settings.lease_s)


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
    """The line of TensorFlow's message that begins with `about`, else the whole message."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line.startswith(about)), explanation(error))
