"""Sending the traces of ended jobs by OTLP, in a thread of its own: no job waits for the receiver.

Where to, with which headers, certificate, compression, sampler and service name, is said by
OpenTelemetry's own environment variables.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from fitfleet.db.fleet import trace_cursor
from fitfleet.db.fleet.trace_cursor import Horizon, Position
from fitfleet.db.reading import traces
from fitfleet.db.reading.traces import EndedJob
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError, MissingExtraError
from fitfleet.scheduler.spans import SpanFacts, spans_of

_JOBS = 50  # in one request
# Of these the cause is not what was sent: the way there, the credentials, the load.
_NOT_FOR_GOOD = (401, 403, 404, 407, 408, 425, 429)
_log = logging.getLogger(__name__)


class Answer(Enum):
    """What became of a request."""

    TAKEN = auto()
    LATER = auto()  # the receiver is away, or its door is locked
    REFUSED = auto()  # it never takes these spans


@dataclass(frozen=True)
class _Sdk:
    """What is used of OpenTelemetry, imported only where traces are on."""

    exporter: Any
    provider: Any  # has the sampler, the resource, and whether the SDK is disabled
    session: Any  # of the exporter; `status` is that of its last answer

    def export(self, jobs: Iterable[EndedJob]) -> Answer:
        """Send their spans."""
        from opentelemetry.sdk.trace.export import SpanExportResult
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import NoOpTracer

        if isinstance(self.provider.get_tracer("fitfleet"), NoOpTracer):
            return Answer.TAKEN  # OTEL_SDK_DISABLED
        spans = []
        for job in jobs:
            asked = self.provider.sampler.should_sample(None, job.trace_id, "job")
            if asked.decision is Decision.RECORD_AND_SAMPLE:
                spans += [_span(job.trace_id, facts, self.provider) for facts in spans_of(job)]
        self.session.status = None
        if not spans or self.exporter.export(spans) is SpanExportResult.SUCCESS:
            return Answer.TAKEN
        return Answer.REFUSED if _is_for_good(self.session.status) else Answer.LATER


def _is_for_good(status: int | None) -> bool:
    """Whether a failed request fails again. None: it was not even sent, as it is too large."""
    return status is None or (400 <= status < 500 and status not in _NOT_FOR_GOOD)


class TraceSender:
    """A step of the scheduler: sends traces of jobs that have ended, unless it still does."""

    def __init__(self) -> None:
        """MissingExtraError if OpenTelemetry is not installed."""
        self._sdk = _load()
        self._horizon = Horizon()
        self._thread: threading.Thread | None = None
        self._has_begun = False
        self._max_jobs = (
            _JOBS  # in the next request; fewer after a refusal, to find the job it is for
        )
        self._has_told = False

    def __call__(self, database: Database) -> None:
        """Begin to send, in a thread. What it does not come to is in the rows."""
        if not self._has_begun:
            with database.begin() as c:
                trace_cursor.begin(c)
            self._has_begun = True
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._send_all, args=(database,), name="traces", daemon=True
            )
            self._thread.start()

    def close(self, database: Database, wait_s: float) -> None:
        """Send what has ended since the last time, for at most `wait_s`."""
        if self._thread is not None:
            self._thread.join(wait_s)
        self(database)
        if self._thread is not None:
            self._thread.join(wait_s)

    def send_ended(self, database: Database) -> int:
        """Send what is due now; how many jobs that settles.

        If a request is refused for good, the next one is of half as many jobs, down to the one for
        which it is refused. Its trace is dropped and counted.
        """
        after, jobs = self._due(database)
        if after is None:
            return 0
        answer = self._sdk.export(jobs)
        if answer is Answer.LATER:
            self._postpone(database, len(jobs))
            return 0
        is_too_many = answer is Answer.REFUSED and len(jobs) > 1
        settled = [] if is_too_many else jobs
        is_dropped = answer is Answer.REFUSED and not is_too_many
        with database.begin() as c:
            trace_cursor.advance(c, _last(settled) or after, refused=int(is_dropped))
        if is_too_many:
            self._max_jobs = len(jobs) // 2
            return self.send_ended(database)
        if is_dropped:
            self._log_dropped(jobs[0].row.id)
        else:
            self._max_jobs = min(_JOBS, 2 * self._max_jobs)
        return len(jobs)

    def _due(self, database: Database) -> tuple[Position | None, list[EndedJob]]:
        """The cursor, which is then ours, and the next jobs; None: another sends, or none ended."""
        with database.read() as c:
            after = trace_cursor.position(c)
            until = self._horizon.until(c)
            if after is None or not _ended(c, after, until, limit=1):
                return None, []
        with database.begin() as c:
            after = trace_cursor.position(c)
            if after is None or not trace_cursor.hold(c):
                return None, []
            return after, _ended(c, after, until, self._max_jobs)

    def _postpone(self, database: Database, count: int) -> None:
        with database.begin() as c:
            pause_s = trace_cursor.postpone(c)
        _log.warning(
            "traces of %d jobs were not taken by the receiver that OTEL_EXPORTER_OTLP_ENDPOINT"
            " names; they are sent again in %g s",
            count, pause_s,
        )  # fmt: skip

    def _log_dropped(self, job_id: int) -> None:
        if self._has_told:
            return
        self._has_told = True
        status = self._sdk.session.status
        why = "is too large to be sent" if status is None else f"is refused (HTTP {status})"
        _log.warning(
            "the trace of job %d %s and is dropped; others are counted by"
            " fitfleet_traces_refused_total and not told again",
            job_id, why,
        )  # fmt: skip

    def _send_all(self, database: Database) -> None:
        try:
            while self.send_ended(database):
                pass
        except DatabaseError:
            return  # the scheduler's own loop tells of it
        except Exception:
            _log.exception("traces continue after an internal error")


def _ended(c: Any, after: Position, until: float, limit: int) -> list[EndedJob]:
    return traces.ended(c, (after.finished_at, after.job_id), until, limit)


def _last(jobs: list[EndedJob]) -> Position | None:
    return Position(jobs[-1].row.finished_at, jobs[-1].row.id) if jobs else None


def _load() -> _Sdk:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ModuleNotFoundError:
        raise MissingExtraError("opentelemetry-exporter-otlp-proto-http", "otel") from None
    # Its warnings repeat the URL, which may have a key in it; ours say the same without.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "fitfleet"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    session = _session()
    return _Sdk(OTLPSpanExporter(session=session), provider, session)


def _session() -> Any:
    """Of requests, which the exporter uses; it says no more than whether it has succeeded."""
    from requests import Response, Session

    class Noting(Session):
        status: int | None = None  # 0: there was no answer

        def request(self, *args: Any, **options: Any) -> Response:
            self.status = 0
            response = super().request(*args, **options)
            self.status = response.status_code
            return response

    return Noting()


def _span(trace: int, facts: SpanFacts, provider: Any) -> Any:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace.status import Status, StatusCode

    status, attributes = Status(), dict(facts.attributes)
    if facts.error is not None:
        attributes["error.type"], message = facts.error
        status = Status(StatusCode.ERROR, message)
    return ReadableSpan(
        name=facts.name,
        context=_context(trace, facts.key),
        parent=None if facts.parent is None else _context(trace, facts.parent),
        resource=provider.resource,
        attributes=attributes,
        events=list(_events(facts)),
        status=status,
        start_time=_ns(facts.start),
        end_time=_ns(max(facts.start, facts.end)),
        instrumentation_scope=InstrumentationScope("fitfleet"),
    )


def _events(facts: SpanFacts) -> Iterator[Any]:
    from opentelemetry.sdk.trace import Event

    for name, at, attributes in facts.events:
        yield Event(name, attributes, _ns(at))


def _context(trace: int, key: str) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(trace, traces.span_id(trace, key), is_remote=False, trace_flags=flags)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
