"""What a scheduler does besides dispatching jobs: continue sweeps, limit the disk usage."""

from __future__ import annotations

import importlib.util
import logging
import math
import time
from collections.abc import Callable, Collection

from fitfleet.data.files.location import locate
from fitfleet.db.accounts import host_roles, tokens, users
from fitfleet.db.actor import Actor, acting
from fitfleet.db.jobs import experiments as experiment_table
from fitfleet.db.scheduling import preemption
from fitfleet.db.session import Database
from fitfleet.db.sweeps import budgets
from fitfleet.db.sweeps import sweeps as sweep_table
from fitfleet.db.sweeps.sweeps import SweepRow
from fitfleet.errors import BrokerError, DatabaseError, FitfleetError, QuotaError
from fitfleet.queue import celery_app
from fitfleet.scheduler import broker_users, removal
from fitfleet.scheduler.archive import archive_due
from fitfleet.scheduler.retention import Policy, collect
from fitfleet.scheduler.traces import TraceSender
from fitfleet.scheduler.webhooks import Notifier
from fitfleet.settings import Settings
from fitfleet.spec.datasets.dataset import dataset_spec
from fitfleet.sweeps.design.design import Design
from fitfleet.sweeps.driving.driver import Driver

_log = logging.getLogger(__name__)
_RETENTION_S = 3600.0
_MEASURE_S = 60.0

Step = Callable[[Database], None]


class SweepKeeper:
    """Drives every open sweep that can be driven from here; others are left to their scripts.

    From here means: its dataset is visible (or its jobs would have another identity), its model
    is no builder and its jobs run no code of the user's (whose source is where the script is), and
    Optuna is installed if it needs that.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._drivers: dict[int, Driver | None] = {}

    def __call__(self, database: Database) -> None:
        """One step of each open sweep. A sweep that cannot continue is logged once."""
        with database.read() as c:
            rows = sweep_table.listed(c, only_open=True)
        self._drivers = {row.id: self._drivers[row.id] for row in rows if row.id in self._drivers}
        for row in rows:
            try:
                if Design.from_json(row.document).budget_s is not None:
                    with database.begin() as c:  # also where its script drives it, or did
                        budgets.settle(c, row.id)
                if row.id not in self._drivers:
                    self._drivers[row.id] = self._driver(database, row)
                driver = self._drivers[row.id]
                if driver is not None:
                    with acting(_owner(database, row)):
                        driver.step()
            except DatabaseError:
                raise
            except QuotaError:  # there is room when some of its jobs have ended
                continue
            except Exception as error:  # the edge of a sweep: anybody may have written its row
                _log.warning(
                    "sweep %r can only be continued by its own script: %s", row.name, error
                )
                self._drivers[row.id] = None

    def _driver(self, database: Database, row: SweepRow) -> Driver | None:
        design = Design.from_json(row.document)
        if design.has_builder or design.has_own_code or not _is_visible(design, self._settings):
            return None
        if importlib.util.find_spec("optuna") is None and design.needs_optuna:
            return None
        return Driver(database, self._settings, row)


def _owner(database: Database, row: SweepRow) -> Actor | None:
    """Whose quota its jobs count for. AccessError if that is a token which has ended."""
    with database.read() as c:
        number = experiment_table.token_of(c, row.experiment)
        return None if number is None else tokens.of_number(c, number)


def _is_visible(design: Design, settings: Settings) -> bool:
    return locate(dataset_spec(design.job["dataset"]), settings) is not None


class _Interval:
    """Runs a step at the start, then once in each interval."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = -math.inf

    def is_over(self) -> bool:
        """Whether it is time; the next interval begins then."""
        if time.monotonic() - self._at < self._seconds:
            return False
        self._at = time.monotonic()
        return True


class Retention:
    """Collects what sweeps and removals leave: at the start, for short scripts, then hourly."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._interval = _Interval(_RETENTION_S)

    def __call__(self, database: Database) -> None:
        """Take weights beyond the best ones of sweeps, and old checkpoints, off the disk."""
        if not self._interval.is_over():
            return
        try:
            for name in removal.finish(database, self._settings):
                _log.info("the removal of the experiment %r, which was interrupted, is done", name)
            if self._settings.archive_days:
                for archived in archive_due(database, self._settings):
                    _log.info(
                        "archived the experiment %r: %s", archived.experiment, archived.folder
                    )
            policy = Policy(best=self._settings.keep_best, only_sweeps=True)
            count = size = 0
            for removed in collect(database, self._settings, policy):
                count, size = count + 1, size + removed.size_bytes
        except DatabaseError:
            raise
        except FitfleetError as error:
            _log.warning("retention: %s", error)
            return
        if count:
            _log.info("retention: %d files, %.1f MiB", count, size / 2**20)


class GpuHours:
    """Measures what users have used of their GPU-hours, once a minute."""

    def __init__(self) -> None:
        self._interval = _Interval(_MEASURE_S)

    def __call__(self, database: Database) -> None:
        """For the dispatcher, which compares it with their quotas."""
        if not self._interval.is_over():
            return
        with database.begin() as c:
            users.measure(c)


class HostRoles:
    """Drops the roles of hosts whose token has ended, once a minute."""

    def __init__(self) -> None:
        self._interval = _Interval(_MEASURE_S)

    def __call__(self, database: Database) -> None:
        """Also of tokens that expire, and of those revoked by who may drop no role."""
        if not self._interval.is_over():
            return
        with database.begin() as c:
            ended = host_roles.end_all(c)
        for name in ended:
            _log.info("dropped the role %s: its token has expired or was revoked", name)


class BrokerUsers:
    """Deletes the broker's users of hosts whose token has ended, once a minute."""

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        self._interval = _Interval(_MEASURE_S)

    def __call__(self, database: Database) -> None:
        """Also of tokens that expire, and of those revoked by who may delete no user."""
        if not self._interval.is_over():
            return

        def valid(numbers: Collection[str]) -> set[str]:
            with database.read() as c:
                return host_roles.valid(c, numbers)

        try:
            ended = broker_users.end_all(self._app, valid)
        except BrokerError:
            return  # the loop tells of it
        for name in ended:
            _log.info("the broker's user %s is deleted: its token has ended", name)


class Preemption:
    """Preempts jobs of a lower priority, at each recovery."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, database: Database) -> None:
        """Release them; they write a checkpoint with the end of their epoch, and resume later."""
        wait_s = self._settings.preempt_s
        if not wait_s:
            return
        with database.begin() as c:
            released = preemption.preempt(c, self._settings.lease_s, wait_s)
        for job_id in released:
            _log.info("job %s is preempted by a more urgent one", job_id, extra={"job": job_id})


def steps(settings: Settings) -> list[Step]:
    """For `Scheduler.steps` of a service of its own."""
    kept: list[Step] = [
        GpuHours(),
        HostRoles(),
        BrokerUsers(settings),
        SweepKeeper(settings),
        Retention(settings),
    ]
    traces: list[Step] = [TraceSender()] if settings.traces else []
    return [*kept, Preemption(settings), Notifier(), *traces]
