"""Observes every request. When it ends, its stages go to metrics, percentiles and traces."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from google.protobuf.message import Message

from facet.server.observability.latencies import Latencies
from facet.server.observability.metrics import Metrics
from facet.server.observability.stopwatch import Stage, Stopwatch
from facet.server.observability.tracing import Tracing
from facet.server.wire.errors import outcome_of
from recognizer.models.loading import LoadedModel

OK, CANCELLED = "OK", "CANCELLED"
_NO_REQUEST = "REQUEST_INCOMPLETE"
"""The reason of calls that end before their request has arrived. gRPC does not tell whether it refused them itself
(metadata or compression that it cannot read, or a far too large message), or the client left."""

_ROLES: Mapping[Stage, tuple[str, ...]] = {
    "detect": ("objects",),
    "faces": ("faces", "objects"),  # a YOLO face model is loaded in the role of objects
    "embed": ("embedding",),
}


@dataclass(slots=True)
class Observed:
    """A call, or an item of a stream, in progress.

    Attributes:
        telemetry: records it when it ends.
        method: the method, without its service.
        is_stream: whether it is a whole stream; the items of a stream are observed individually.
        parent: the client's W3C traceparent, or empty.
        stopwatch: its stages; unused for a whole stream.
        code: the name of its status code.
        reason: the reason of its error, or empty.
        arrived: whether its request has arrived.
    """

    telemetry: Telemetry
    method: str
    is_stream: bool
    parent: str = ""
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    code: str = OK
    reason: str = ""
    arrived: bool = False

    def received(self) -> None:
        """Record that the request has arrived: a call's time starts then."""
        self.arrived = True
        self.stopwatch = Stopwatch()

    def failed(self, error: Exception) -> None:
        """Record the status that the client receives for an error."""
        self.code, self.reason = outcome_of(error)

    def cancelled(self) -> None:
        """Record that the caller is gone."""
        self.code, self.reason = CANCELLED, "" if self.arrived else _NO_REQUEST

    def ended(self) -> float:
        """Record the end; returns the duration in seconds."""
        return self.telemetry.ended(self)


_current: ContextVar[Observed | None] = ContextVar("observed", default=None)


class Telemetry:
    """Observes the requests of a server. Use it from the server's event loop.

    Args:
        models: the loaded models.
        tracing: exports traces; ``None`` for no traces.

    Attributes:
        metrics: the metrics for Prometheus.
        stages: time of requests in each stage.
        methods: duration of requests that were answered OK, by method.
        errors: duration of requests and streams that ended with an error, by code and reason.
        open_streams: the number of open streams, by method.
    """

    def __init__(self, models: tuple[LoadedModel, ...], tracing: Tracing | None = None) -> None:
        files = {model.role: model.file.path.name for model in models}
        by_stage = {
            stage: next((files[role] for role in roles if role in files), "") for stage, roles in _ROLES.items()
        }
        self.metrics = Metrics(by_stage)
        self.stages: Latencies[Stage] = Latencies()
        self.methods: Latencies[str] = Latencies()
        self.errors: Latencies[tuple[str, str]] = Latencies()
        self.open_streams: Counter[str] = Counter()
        self._tracing = tracing

    def observe(self, method: str, *, is_stream: bool, parent: str = "") -> Observed:
        """Start to observe a call, which becomes the current one of this asyncio task and its children."""
        observed = Observed(self, method, is_stream, parent)
        self.open_streams[method] += is_stream
        _current.set(observed)
        return observed

    def ended(self, observed: Observed) -> float:
        """See :meth:`Observed.ended`."""
        seconds = time.monotonic() - observed.stopwatch.start
        if observed.reason:
            self.metrics.refused(observed.method, observed.reason)
            self.errors.observe({(observed.code, observed.reason): seconds})
        if observed.is_stream:
            self.open_streams[observed.method] -= 1
            self.metrics.stream_ended(observed.method, observed.code)
        else:
            stages = observed.stopwatch.seconds()
            self.metrics.request_ended(observed.method, observed.code, seconds, stages)
            for lap in observed.stopwatch.laps():
                if lap.batch:
                    self.metrics.embedded(lap.batch)
            self.stages.observe(stages)
            if observed.code == OK:
                self.methods.observe({observed.method: seconds})
        if self._tracing is not None:
            self._tracing.record(observed.method, observed.code, seconds, observed.stopwatch, observed.parent)
        return seconds

    def answered(self, response: Message) -> None:
        """Count the contents of an answer."""
        self.metrics.answered(response)


@contextmanager
def item() -> Iterator[None]:
    """Observe the body as one request of the current stream."""
    stream = _current.get()
    if stream is None:  # not called by a server
        yield
        return
    observed = Observed(stream.telemetry, stream.method, is_stream=False, parent=stream.parent, arrived=True)
    before = _current.set(observed)
    try:
        yield
    except asyncio.CancelledError:
        observed.cancelled()
        raise
    except Exception as error:
        observed.failed(error)
        raise
    finally:
        _current.reset(before)
        observed.ended()


def failed(error: Exception) -> None:
    """Record an error of the current request that is not raised."""
    if (observed := _current.get()) is not None:
        observed.failed(error)


def dropped(frames: int) -> None:
    """Count dropped frames of the current stream."""
    if (observed := _current.get()) is not None:
        observed.telemetry.metrics.dropped(frames)


def stopwatch() -> Stopwatch:
    """The stopwatch of the current request; a new one if there is none, or if it is a whole stream."""
    observed = _current.get()
    return Stopwatch() if observed is None or observed.is_stream else observed.stopwatch
