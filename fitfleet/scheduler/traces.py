"""Sending the traces of ended jobs by OTLP, in a thread of its own: no job waits for the receiver.

Where to, with which headers, certificate, compression, sampler and service name, is said by
OpenTelemetry's own environment variables.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fitfleet.db.fleet import trace_cursor
from fitfleet.db.fleet.trace_cursor import Horizon, Position
from fitfleet.db.reading import traces
from fitfleet.db.reading.traces import EndedJob
from fitfleet.db.session import Database
from fitfleet.errors import DatabaseError, MissingExtraError
from fitfleet.scheduler.spans import SpanFacts, spans_of

_JOBS = 50  # in one request
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Sdk:
    """What is used of OpenTelemetry, imported only where traces are on."""

    exporter: Any
    provider: Any  # has the sampler, the resource, and whether the SDK is disabled

    def export(self, jobs: Iterable[EndedJob]) -> bool:
        """Whether the receiver has taken them."""
        from opentelemetry.sdk.trace.export import SpanExportResult
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import NoOpTracer

        if isinstance(self.provider.get_tracer("fitfleet"), NoOpTracer):
            return True  # OTEL_SDK_DISABLED
        spans = []
        for job in jobs:
            asked = self.provider.sampler.should_sample(None, job.trace_id, "job")
            if asked.decision is Decision.RECORD_AND_SAMPLE:
                spans += [_span(job.trace_id, facts, self.provider) for facts in spans_of(job)]
        return not spans or self.exporter.export(spans) is SpanExportResult.SUCCESS


class TraceSender:
    """A step of the scheduler: sends traces of jobs that have ended, unless it still does."""

    def __init__(self) -> None:
        """MissingExtraError if OpenTelemetry is not installed."""
        self._sdk = _load()
        self._horizon = Horizon()
        self._thread: threading.Thread | None = None
        self._has_begun = False

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
        """Send what has ended since the last time, for so long at most."""
        if self._thread is not None:
            self._thread.join(wait_s)
        self(database)
        if self._thread is not None:
            self._thread.join(wait_s)

    def send_ended(self, database: Database) -> int:
        """Send what is due now; of how many jobs."""
        with database.read() as c:
            after = trace_cursor.position(c)
            until = self._horizon.until(c)
            if after is None or not _ended(c, after, until, limit=1):
                return 0
        with database.begin() as c:
            after = trace_cursor.position(c)
            if after is None or not trace_cursor.hold(c):
                return 0
            jobs = _ended(c, after, until)
        is_taken = self._sdk.export(jobs)
        last = Position(jobs[-1].row.finished_at, jobs[-1].row.id) if jobs else after
        with database.begin() as c:
            if is_taken:
                trace_cursor.advance(c, last)
                return len(jobs)
            pause_s = trace_cursor.postpone(c)
        _log.warning(
            "traces of %d jobs were not taken by the receiver that OTEL_EXPORTER_OTLP_ENDPOINT"
            " names; they are sent again in %g s",
            len(jobs), pause_s,
        )  # fmt: skip
        return 0

    def _send_all(self, database: Database) -> None:
        try:
            while self.send_ended(database):
                pass
        except DatabaseError:
            return  # the scheduler's own loop tells of it
        except Exception:
            _log.exception("traces continue after an internal error")


def _ended(c: Any, after: Position, until: float, limit: int = _JOBS) -> list[EndedJob]:
    return traces.ended(c, (after.finished_at, after.job_id), until, limit)


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
    return _Sdk(OTLPSpanExporter(), provider)


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
