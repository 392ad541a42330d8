"""Exit codes, the same for every command.

0    all is well
1    a job failed, or had not ended within the time given
2    bad input: options, files, specifications, numbers of jobs that do not exist
3    the database or the broker cannot be reached, `doctor` found something to fix, or
     `status` found no background fleet
130  interrupted with Ctrl-C
"""

from __future__ import annotations

from fitfleet.errors import (
    BrokerError,
    DatabaseError,
    FitfleetError,
    JobFailedError,
    WaitTimeoutError,
)

OK = 0
JOB_FAILED = 1
BAD_INPUT = 2
UNREACHABLE = 3
INTERRUPTED = 130


def exit_code(error: FitfleetError) -> int:
    """The exit code of this error."""
    if isinstance(error, JobFailedError | WaitTimeoutError):
        return JOB_FAILED
    if isinstance(error, DatabaseError | BrokerError):
        return UNREACHABLE
    return BAD_INPUT
