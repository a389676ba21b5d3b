"""Every request under observation: its stages go into metrics, percentiles and traces when it has ended."""

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
from recognizer.models import LoadedModel

OK, CANCELLED = "OK", "CANCELLED"

_ROLES: Mapping[Stage, tuple[str, ...]] = {
    "detect": ("objects",),
    "faces": ("faces", "objects"),  # a YOLO model of faces finds both
    "embed": ("embedding",),
}


@dataclass(slots=True)
class Observed:
    """A call, or an item of a stream, while it is worked on.

    Attributes:
        telemetry: who is told when it has ended.
        method: the method, without its service.
        is_stream: whether it is a stream as a whole, whose items are observed one by one.
        parent: the W3C traceparent that the client sent; empty for none.
        stopwatch: its stages; nobody uses that of a stream.
        code: the name of the status code that it ends with.
        reason: why it was refused or failed, where it was.
    """

    telemetry: Telemetry
    method: str
    is_stream: bool
    parent: str = ""
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    code: str = OK
    reason: str = ""

    def failed(self, error: Exception) -> None:
        """Note what a client gets to see for an error."""
        self.code, self.reason = outcome_of(error)

    def cancelled(self) -> None:
        """Note that nobody waits for it any more."""
        self.code, self.reason = CANCELLED, ""

    def ended(self) -> float:
        """Tell what became of it; how long it took, seconds."""
        return self.telemetry.ended(self)


_current: ContextVar[Observed | None] = ContextVar("observed", default=None)


class Telemetry:
    """Observes the requests of a server. To be used from its event loop.

    Args:
        models: what is loaded.
        tracing: where traces go; ``None`` for nowhere.

    Attributes:
        metrics: what Prometheus reads.
        stages: how long requests were in each stage.
        methods: how long requests took that were answered OK, by method.
        errors: how long requests and streams took that ended with an error, by code and reason.
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
        """Begin to observe a call; what its task does from now on belongs to it."""
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
        """Count what is in an answer."""
        self.metrics.answered(response)


@contextmanager
def item() -> Iterator[None]:
    """Observe what happens inside as one request of the stream that is being served."""
    stream = _current.get()
    if stream is None:  # no server serves it
        yield
        return
    observed = Observed(stream.telemetry, stream.method, is_stream=False, parent=stream.parent)
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
    """Note what the request that is being served fails with, where that is not raised."""
    if (observed := _current.get()) is not None:
        observed.failed(error)


def dropped(frames: int) -> None:
    """Count frames that the stream that is being served has dropped."""
    if (observed := _current.get()) is not None:
        observed.telemetry.metrics.dropped(frames)


def stopwatch() -> Stopwatch:
    """That of the request that is being served; a new one where nobody observes, or only the stream as a whole."""
    observed = _current.get()
    return Stopwatch() if observed is None or observed.is_stream else observed.stopwatch
