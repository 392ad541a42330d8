"""A receiver of OTLP over HTTP: reads the protobuf that it is sent."""

from __future__ import annotations

import gzip
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from support.post_server import PostReceiver


class OtlpReceiver(PostReceiver):
    """Answers `status`; what it took is in `requests`, headers and message each."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[tuple[dict[str, str], ExportTraceServiceRequest]] = []
        super().__init__(200, port)

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = ExportTraceServiceRequest.FromString(body)
        if self.status == 200:
            self.requests.append(({"path": path, **headers}, message))
        return {}

    def spans(self) -> list[Any]:
        """All that it took, in the order of their coming."""
        return [
            span
            for _, message in self.requests
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def attributes(span: Any) -> dict[str, Any]:
    """Name -> value."""
    return {
        item.key: getattr(item.value, str(item.value.WhichOneof("value")))
        for item in span.attributes
    }
