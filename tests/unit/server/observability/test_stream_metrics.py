"""Metrics of streams."""

from __future__ import annotations

import pytest

from facet.server.observability import telemetry
from facet.server.observability.metrics import Metrics
from facet.server.observability.telemetry import Telemetry
from facet.v1 import recognition_service_pb2 as pb


async def test_metrics_count_ages_drops_embeddings_and_events_of_streams() -> None:
    observing = Telemetry(())
    observing.observe("IdentifyStream", is_stream=True)
    telemetry.dropped(3)
    appeared, left = (pb.TrackEvent(kind=kind) for kind in (pb.TRACK_EVENT_KIND_APPEARED, pb.TRACK_EVENT_KIND_LEFT))
    metrics: Metrics = observing.metrics
    metrics.answered(pb.IdentifyStreamResponse(age_ms=40, embedded=2, events=[appeared, appeared]))
    metrics.answered(pb.IdentifyStreamResponse(age_ms=60, events=[left]))
    metrics.answered(pb.IdentifyStreamResponse(events=[left], end_of_stream=True))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"facet_stream_{name}", labels)

    assert value("dropped_frames_total") == 3
    assert value("embeddings_total") == 2
    assert value("age_seconds_sum") == pytest.approx(0.1)
    assert value("age_seconds_count") == 2
    assert (value("events_total", kind="appeared"), value("events_total", kind="left")) == (2, 2)
