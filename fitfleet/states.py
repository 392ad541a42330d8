"""The states of a job, the legal transitions between them, and the classes of failure."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """The state of a job. The value is the one in the database and the views."""

    QUEUED = "QUEUED"  # the row waits for the dispatcher
    # A message for it is in the broker, or a slot has reserved it for its cohort.
    DISPATCHED = "DISPATCHED"
    RUNNING = "RUNNING"  # a worker holds its lease
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    PRUNED = "PRUNED"  # ended early by the sweep's pruner; curve and checkpoint are kept

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended and stays so unless it is retried or extended."""
        return self in TERMINAL


TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PRUNED})

# Enforced by conditional UPDATEs in db/jobs/jobs; no other change of a status is legal.
TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    # To FAILED: the job whose weights it starts from has not succeeded.
    JobStatus.QUEUED: frozenset({JobStatus.DISPATCHED, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.DISPATCHED: frozenset({JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset(
        {
            JobStatus.SUCCEEDED,
            JobStatus.FAILED,
            JobStatus.CANCELLED,
            JobStatus.PRUNED,
            JobStatus.QUEUED,
        }
    ),
    JobStatus.SUCCEEDED: frozenset({JobStatus.QUEUED}),  # extend
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),  # retry
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),  # retry
    JobStatus.PRUNED: frozenset({JobStatus.QUEUED}),  # resumed
}


class FailureClass(StrEnum):
    """Why an attempt failed; each class has its own remedy."""

    USER = "user"  # spec, data, evaluator: never retried
    NAN = "nan"  # the loss became NaN under TerminateOnNaN: never retried
    TIMEOUT = "timeout"  # ran longer than the job's timeout_s: never retried
    MEMORY = "memory"  # out of memory: retried alone, then with a smaller micro-batch if allowed
    LOST = "lost"  # the worker died or lost its lease: retried up to max_failures
    STALLED = "stalled"  # heartbeat but no progress: retried up to max_failures
    STORAGE = "storage"  # the storage refused: retried with backoff, the checkpoint stays
    INTERNAL = "internal"  # a defect of fitfleet or TensorFlow: retried up to max_failures


RETRIED = frozenset(
    {
        FailureClass.MEMORY,
        FailureClass.LOST,
        FailureClass.STALLED,
        FailureClass.STORAGE,
        FailureClass.INTERNAL,
    }
)


class Request(StrEnum):
    """A request of a user or the scheduler to a running job, which acts at its next heartbeat."""

    CANCEL = "cancel"
    PRUNE = "prune"
    FINISH = "finish"  # end with this epoch and keep the result: the sweep's budget is spent
    RELEASE = "release"  # give the job back to the queue (pause, drain from afar)
