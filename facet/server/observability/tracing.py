"""Exports traces of requests by OTLP over HTTP. Needs the extra ``tracing``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from facet import __version__
from facet.runtime.extras import install_command
from facet.server.config import TracingConfig
from facet.server.observability.stopwatch import Stopwatch

if TYPE_CHECKING:
    from opentelemetry.context import Context

_NANOSECONDS = 1_000_000_000
_SEND_SECONDS = 3.0


class TracingUnavailable(Exception):
    """Tracing is configured, but OpenTelemetry is not installed."""


class Tracing:
    """Makes a span for every request, with a child span for every run of a stage.

    A separate thread sends the spans in batches, and drops them if the collector does not accept them. Spans contain no
    names, no ids of subjects or galleries, and no pictures.

    Args:
        config: the collector, and the share of requests to trace.
    """

    def __init__(self, config: TracingConfig) -> None:
        # OpenTelemetry is optional, and loaded only for tracing.
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
            from opentelemetry.trace import SpanKind, Status, StatusCode
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            command = install_command("tracing")
            raise TracingUnavailable(f"tracing.endpoint needs OpenTelemetry: {command}") from error
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(config.ratio),
            resource=Resource.create({"service.name": "facet", "service.version": __version__}),
        )
        exporter = OTLPSpanExporter(endpoint=config.endpoint, timeout=_SEND_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("facet", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._kind = SpanKind.SERVER
        self._failed = Status(StatusCode.ERROR)

    def record(self, method: str, code: str, seconds: float, stopwatch: Stopwatch, parent: str) -> None:
        """Record the spans of a finished request.

        Args:
            method: the method.
            code: the name of the status code.
            seconds: its duration.
            stopwatch: its stages.
            parent: the W3C traceparent of the parent span, or empty.
        """
        from opentelemetry.trace import set_span_in_context

        wall = time.time_ns() - round(time.monotonic() * _NANOSECONDS)
        start = wall + round(stopwatch.start * _NANOSECONDS)
        context: Context = self._propagator.extract({"traceparent": parent})
        attributes: dict[str, Any] = {"rpc.system": "grpc", "rpc.method": method, "rpc.grpc.status_code": code}
        span = self._tracer.start_span(method, context, self._kind, attributes, start_time=start)
        if span.is_recording():
            within = set_span_in_context(span)
            for lap in stopwatch.laps():
                stage = self._tracer.start_span(lap.stage, within, start_time=wall + round(lap.start * _NANOSECONDS))
                if lap.batch:
                    stage.set_attribute("facet.batch", lap.batch)
                stage.end(wall + round(lap.end * _NANOSECONDS))
            if code != "OK":
                span.set_status(self._failed)
        span.end(start + round(seconds * _NANOSECONDS))

    def close(self) -> None:
        """Send the remaining spans, for at most a few seconds."""
        self._provider.shutdown()
