"""The error tree. Every error a user can cause or meet descends from FitfleetError.

FitfleetError
├── SettingsError            a setting is unknown or has a bad value
├── SpecError                the model, compile, fit or evaluate part of a job is refused
├── DatasetError             a dataset is missing, unreadable, unsafe or does not fit the model
├── SearchError              a search space or a sweep is refused
├── NotFoundError            a job, experiment, sweep or worker that does not exist
├── AccessError              a token is wrong, or does not allow what was asked
│   └── QuotaError           a token would have more unfinished jobs than it may
├── StateError               the job is not in a state that allows the request
├── StorageError             the storage cannot be read or written
├── DatabaseError            the database cannot be reached or answers with an error
│   └── ApiError             the same of a fleet that is reached by its HTTP API
├── BrokerError              the broker cannot be reached (jobs are kept in the database)
├── JobFailedError           waited for a job and it failed
├── WaitTimeoutError         waited longer than asked
└── MissingExtraError        an optional part of fitfleet is not installed

A message says what failed, the value seen and the next step. `str(error)` is one sentence
that can be shown to a user as it is.
"""

from __future__ import annotations

from fitfleet.text import printable_lines


class FitfleetError(Exception):
    """Root of all errors that fitfleet raises on purpose."""

    def __str__(self) -> str:
        # Names of columns, layers and files stand in messages, and messages on terminals.
        return printable_lines(super().__str__())


class SettingsError(FitfleetError):
    """A setting is unknown or its value is not usable."""


class SpecError(FitfleetError):
    """A part of a job specification is refused.

    `place` is the path of the refused value, such as `model.layers[3].units`.
    """

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place
        self.problem = problem


class DatasetError(FitfleetError):
    """A dataset is missing, unreadable, unsafe, or does not fit the model."""


class SearchError(FitfleetError):
    """A search space, or an argument of a sweep, is invalid."""


class NotFoundError(FitfleetError):
    """A job, experiment, sweep or worker of that name does not exist."""


class AccessError(FitfleetError):
    """A token is wrong, expired or revoked, or its user may not do what was asked."""


class QuotaError(AccessError):
    """A token would have more unfinished jobs than it may."""


class StateError(FitfleetError):
    """The job's state does not allow what was asked."""


class StorageError(FitfleetError):
    """The storage cannot be read or written."""


class StorageRefusedError(StorageError):
    """The object store has refused and would again: without credentials, permission or bucket."""


class DatabaseError(FitfleetError):
    """The database cannot be reached, or answered with an error."""


class ApiError(DatabaseError):
    """The fleet's HTTP API cannot be reached, or the database behind it."""


class BrokerError(FitfleetError):
    """The broker cannot be reached. Nothing is lost: queued jobs are rows in the database."""


class JobFailedError(FitfleetError):
    """A job that was waited for has failed. `str()` carries its class and message."""


class WaitTimeoutError(FitfleetError):
    """The jobs did not end within the time given; they continue running."""


class MissingExtraError(FitfleetError):
    """An optional part is not installed. The message gives the `pip install` line."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"{package} is not installed; it comes with: pip install 'fitfleet[{extra}]'"
        )
