"""The row of a job in the database, as of the last reading."""

from __future__ import annotations

from typing import Any, Self

from fitfleet.client.display.names import shown
from fitfleet.db.reading import lookup
from fitfleet.db.reading.lookup import JobRow
from fitfleet.db.reading.traces import trace_id
from fitfleet.db.session import Database
from fitfleet.errors import NotFoundError
from fitfleet.settings import Settings
from fitfleet.states import JobStatus
from fitfleet.text import html_table, printable


class JobHandle:
    """The row of a job; `refresh()` reads it again."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        row: JobRow,
        *,
        is_reused: bool = False,
        starting: str | None = None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._row = row
        self._starting = starting  # the queue of workers that this script has started
        self.is_reused = is_reused
        """Whether submit found this very content in the experiment and queued nothing."""

    def __repr__(self) -> str:
        row = self._row
        params = "".join(f", {name}={value!r}" for name, value in row.params.items())
        ended = f", ended by its {row.stopped_by}" if row.stopped_by else ""
        failure = f", failure={row.failure_class!r}" if row.failure_class else ""
        return printable(
            f"<Job {row.id} {row.experiment!r} {row.status}"
            f" epoch {row.epoch}/{row.epochs}, seed={row.seed}{params}{ended}{failure}>"
        )

    def _repr_html_(self) -> str:
        row = self._row
        facts = {
            "job": f"{row.id} in {row.experiment}",
            "status": row.status.value,
            "params": " ".join(f"{name}={shown(value)}" for name, value in row.params.items()),
            "seed": row.seed,
            "epochs": f"{row.epoch} of {row.epochs}",
            "ended": f"by its {row.stopped_by}" if row.stopped_by else "",
            "loss": "" if row.nan_epoch is None else f"not finite from epoch {row.nan_epoch} on",
            "weights of": "" if row.shown_epoch == row.epoch else f"epoch {row.shown_epoch}",
            "failure": f"{row.failure_class}: {row.failure_message}" if row.failure_class else "",
        }
        return html_table([], [pair for pair in facts.items() if pair[1] != ""])

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JobHandle)
            and other.id == self.id
            and other._settings.database_url == self._settings.database_url
            and other._settings.url == self._settings.url
        )

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def id(self) -> int:
        """The number of the job in its database."""
        return self._row.id

    @property
    def trace_id(self) -> str:
        """The 32 hexadecimal digits by which OpenTelemetry knows its trace (setting `traces`)."""
        return f"{trace_id(self._row.id, self._row.submitted_at):032x}"

    @property
    def experiment(self) -> str:
        return self._row.experiment

    @property
    def params(self) -> dict[str, Any]:
        """What the user states as varied; shown and compared, never computed with."""
        return dict(self._row.params)

    @property
    def seed(self) -> int:
        return self._row.seed

    @property
    def epochs(self) -> int:
        """Epochs of the specification."""
        return self._row.epochs

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._row.epoch

    @property
    def attempt(self) -> int:
        """Number of the latest attempt; 0 before the first."""
        return self._row.attempt

    @property
    def seconds(self) -> float:
        """Time spent in attempts that were not lost."""
        return self._row.seconds

    @property
    def row(self) -> JobRow:
        """All columns as of the last refresh."""
        return self._row

    @property
    def status(self) -> JobStatus:
        """The state of the job now. A status that has ended is remembered until `refresh()`."""
        if not self._row.status.is_terminal:
            self.refresh()
        return self._row.status

    def refresh(self) -> Self:
        """Read the job's row again."""
        with self._database.read() as c:
            row = lookup.job(c, self.id)
        if row is None:
            raise NotFoundError(f"job {self.id} does not exist any more; it was removed")
        self._row = row
        return self

    def update(self, row: JobRow) -> None:
        """Take over a row that was read with others."""
        self._row = row
