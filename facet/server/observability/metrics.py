"""Counters and histograms of requests for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping

from google.protobuf.message import Message
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from facet.server.observability.stopwatch import Stage
from facet.v1 import gallery_service_pb2 as gallery_pb
from facet.v1 import recognition_service_pb2 as pb

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_CALLERS = 100
"""Callers have series of their own up to this number: tokens of an identity provider may stand for many people."""
_OTHERS = "others"
_FACES = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 200)


class Metrics:
    """Counts requests. No label contains personal data.

    Args:
        models: file name of the model that a stage runs, by stage.

    Attributes:
        registry: the exported metrics; further collectors can be registered.
    """

    def __init__(self, models: Mapping[Stage, str]) -> None:
        self.registry = CollectorRegistry()
        self._models = models
        self._stages: dict[tuple[str, Stage], Histogram] = {}
        self._stage_seconds = Histogram(
            "facet_stage_seconds",
            "Time of a request in a stage; model is the file of the model that the stage runs, if any.",
            ("method", "stage", "model"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "facet_call_seconds",
            "Time from a request's arrival to its answer: of unary calls, items of batches, and frames of streams.",
            ("method", "code"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._streams = Counter("facet_streams", "Streams that ended.", ("method", "code"), registry=self.registry)
        self._refusals = Counter(
            "facet_refusals", "Requests that were answered with an error.", ("method", "reason"), registry=self.registry
        )
        self._decisions = Counter(
            "facet_decisions",
            "Faces by decision: match, unknown or refused by a search; same or different by Verify.",
            ("decision",),
            registry=self.registry,
        )
        self._faces = Histogram(
            "facet_faces_per_picture",
            "Faces in an answer of AnalyzeFaces, Identify or IdentifyBatch.",
            buckets=_FACES,
            registry=self.registry,
        )
        self._embedded = Histogram(
            "facet_embedding_batch_faces",
            "Faces in one run of the embedding model.",
            buckets=_FACES[1:],
            registry=self.registry,
        )
        self._age = Histogram(
            "facet_stream_age_seconds",
            "Time from a frame's capture to its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._dropped = Counter(
            "facet_stream_dropped_frames", "Frames dropped in favour of newer ones.", registry=self.registry
        )
        self._stream_embeddings = Counter(
            "facet_stream_embeddings", "Faces embedded for streams.", registry=self.registry
        )
        self._events = Counter(
            "facet_stream_events", "Events of the tracks of streams.", ("kind",), registry=self.registry
        )
        self._limited = Counter(
            "facet_caller_limited",
            "Limits of callers that were met: calls refused for rate or concurrency, pictures of streams that waited.",
            ("caller", "how"),
            registry=self.registry,
        )
        self._callers: set[str] = set()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def request_ended(self, method: str, code: str, seconds: float, stages: Mapping[Stage, float]) -> None:
        """Count a unary call, an item of a batch or a frame of a stream, with its seconds in each stage."""
        self._call_seconds.labels(method, code).observe(seconds)
        for stage, taken in stages.items():
            found = self._stages.get((method, stage))
            if found is None:
                found = self._stage_seconds.labels(method, stage, self._models.get(stage, ""))
                self._stages[method, stage] = found
            found.observe(taken)

    def embedded(self, faces: int) -> None:
        """Count a run of the embedding model."""
        self._embedded.observe(faces)

    def stream_ended(self, method: str, code: str) -> None:
        """Count a stream."""
        self._streams.labels(method, code).inc()

    def refused(self, method: str, reason: str) -> None:
        """Count an error by the reason sent to the client."""
        self._refusals.labels(method, reason).inc()

    def limited(self, caller: str, how: str) -> None:
        """Count a call or a picture that met a limit of its caller; see :data:`MAX_CALLERS`."""
        if len(self._callers) < MAX_CALLERS:
            self._callers.add(caller)
        self._limited.labels(caller if caller in self._callers else _OTHERS, how).inc()

    def dropped(self, frames: int) -> None:
        """Count frames of a stream that were not processed."""
        self._dropped.inc(frames)

    def answered(self, response: Message) -> None:
        """Count the faces, decisions and events of an answer."""
        match response:
            case pb.IdentifyResponse():
                self._faces.observe(len(response.faces))
                for decision, count in Tally(face.identification.decision for face in response.faces).items():
                    self._decisions.labels(_named(decision)).inc(count)
            case pb.AnalyzeFacesResponse():
                self._faces.observe(len(response.faces))
            case pb.VerifyResponse():
                self._decisions.labels("same" if response.same else "different").inc()
            case gallery_pb.SearchEmbeddingResponse():
                self._decisions.labels(_named(response.identification.decision)).inc()
            case pb.IdentifyBatchResponse() if response.HasField("identification"):
                self.answered(response.identification)
            case pb.IdentifyStreamResponse():
                if not response.end_of_stream:  # that one is about no frame
                    self._age.observe(response.age_ms / 1e3)
                self._stream_embeddings.inc(response.embedded)
                for event in response.events:
                    self._events.labels(
                        pb.TrackEventKind.Name(event.kind).removeprefix("TRACK_EVENT_KIND_").lower()
                    ).inc()


def _named(decision: pb.Decision.ValueType) -> str:
    return pb.Decision.Name(decision).removeprefix("DECISION_").lower()
